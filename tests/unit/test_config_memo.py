"""load_config remembers its result, warns applications, and parses command lines."""

from __future__ import annotations

import sys
import types
import warnings

import pytest

import fedmsg.config as config_module
from fedmsg.config import build_parser, load_config

pytestmark = pytest.mark.filterwarnings('ignore:Using "load_config":DeprecationWarning')


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A home and current directory with one file, and an empty memo."""
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["prog"])
    monkeypatch.setitem(vars(config_module), "__cache", {})
    write(tmp_path / "fedmsg-config.py", "config = {'endpoints': {}, 'here': 1}")
    return tmp_path


def write(path, text):
    """Write a configuration file and return its name."""
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


CALLS = [(), ([], None), (None, []), ([], "doc")]


@pytest.mark.parametrize("args", CALLS)
def test_same_object(args):
    """Calls without naming anything return the same dict, with what the application added."""
    first = load_config()
    first["added"] = 1
    assert load_config(*args) is first


def test_invalidate_cache():
    """A fresh dict after invalidation; the old one is not changed."""
    first = load_config()
    before = config_module.invalidations
    second = load_config(invalidate_cache=True)
    assert second is not first
    assert second == first
    assert config_module.invalidations == before + 1


@pytest.mark.parametrize(
    "kw", [{"filenames": ["b.py"]}, {"disable_defaults": True}, {"fedmsg_command": True}]
)
def test_special_calls_load_afresh(place, kw):
    """Calls that name something load, and become what is remembered."""
    write(place / "b.py", "config = {'endpoints': {}, 'b': 1}")
    first = load_config()
    special = load_config(**kw)
    assert special is not first
    assert load_config() is special


def test_replaced_memo(monkeypatch):
    """A memo that a test puts in place is returned as it is, whatever is asked for."""
    mine = {"mine": 1}
    monkeypatch.setitem(vars(config_module), "__cache", mine)
    for kw in ({}, {"fedmsg_command": True}, {"filenames": ["missing"]}):
        assert load_config(**kw) is mine
    assert load_config(invalidate_cache=True)["here"] == 1


def test_empty_result_is_not_remembered(place):
    """An empty configuration is no memo."""
    (place / "fedmsg-config.py").unlink()
    assert load_config(disable_defaults=True) == {}
    write(place / "fedmsg-config.py", "config = {'endpoints': {}}")
    assert load_config()["endpoints"] == {}


def test_failure_is_not_remembered(place):
    """After MissingEndpoints the next call reads the files again."""
    write(place / "fedmsg-config.py", "config = {}")
    with pytest.raises(ValueError, match="endpoints"):
        load_config()
    write(place / "fedmsg-config.py", "config = {'endpoints': {'a': 'x'}}")
    assert load_config()["endpoints"] == {"a": ["x"]}


def test_application_is_warned():
    """The application's own call is deprecated, and the warning points at it."""
    for _ in range(2):  # a remembered result, too
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            load_config()
        assert [(item.category, item.filename) for item in caught] == [
            (DeprecationWarning, __file__)
        ]
        assert str(caught[0].message) == (
            'Using "load_config" is deprecated and will be removed in a future release; use the '
            '"fedmsg.config.conf" dictionary instead.'
        )


@pytest.mark.parametrize("name", ["fedmsg", "fedmsg.core"])
def test_fedmsg_is_not_warned(name):
    """Calls from inside the package warn of nothing."""
    scope = vars(types.ModuleType(name)) | {"load_config": load_config}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec("load_config()", scope)  # noqa: S102
    with pytest.warns(DeprecationWarning):
        exec("load_config()", {**scope, "__name__": "fedmsg_app"})  # noqa: S102


def test_command_line(monkeypatch):
    """The command line is parsed for commands only."""
    monkeypatch.setattr(sys, "argv", ["prog", "--timeout", "1.5", "--linger=5", "--own", "x"])
    assert load_config()["timeout"] == 2
    config = load_config([(["--own"], {"dest": "own", "default": "y"})], fedmsg_command=True)
    assert (config["timeout"], config["zmq_linger"], config["own"]) == (1.5, 5, "x")


def test_argv_argument():
    """A command line can be passed instead of sys.argv."""
    config = load_config(fedmsg_command=True, argv=["--io-threads", "4"])
    assert config["io_threads"] == 4


def test_config_filename_option(place):
    """--config-filename, abbreviated, reads that file only; the other options still count."""
    name = write(place / "b.py", "config = {'endpoints': {}, 'b': 1, 'timeout': 8}")
    config = load_config(fedmsg_command=True, argv=["--config", name, "--linger", "3"])
    assert (config["b"], config["timeout"], config["zmq_linger"]) == (1, 8, 3)
    assert "here" not in config


def test_print_config_option(capsys):
    """--print-config prints JSON and ends with status 0."""
    with pytest.raises(SystemExit) as caught:
        load_config(fedmsg_command=True, argv=["--print-config"])
    assert caught.value.code == 0
    assert '"here": 1' in capsys.readouterr().out


def test_unknown_option(capsys):
    """An unknown option is a usage error."""
    with pytest.raises(SystemExit) as caught:
        load_config(fedmsg_command=True, argv=["--nothing"])
    assert caught.value.code == 2
    assert "prog" in capsys.readouterr().err


def test_declared_arguments_are_not_changed():
    """The caller's list keeps its defaults, whatever the configuration says."""
    declared = [(["--a"], {"dest": "a", "default": 1}), (["--b"], {"dest": "b"})]
    parsed = build_parser(declared, None, {"a": 5, "b": 6}).parse_args([])
    assert (parsed.a, parsed.b) == (5, None)
    assert declared == [(["--a"], {"dest": "a", "default": 1}), (["--b"], {"dest": "b"})]


def test_parser_without_configuration():
    """Missing keys fall back to the defaults."""
    parsed = vars(build_parser([], "  Doc\n    text").parse_args([]))
    assert parsed == {
        "io_threads": 1,
        "topic_prefix": "org.fedoraproject",
        "post_init_sleep": 0.5,
        "config_filename": None,
        "print_config": False,
        "timeout": 2,
        "high_water_mark": 0,
        "zmq_linger": 1000,
    }


def test_parser_help():
    """The description is dedented and keeps its lines; the program can be named."""
    text = build_parser([], "\n    First\n      second\n", prog="me").format_help()
    assert text.startswith("usage: me ")
    assert "\nFirst\n  second\n" in text
