"""The dict fedmsg.config.conf: lazy, validated, complete."""

from __future__ import annotations

import copy
import re

import pytest

from fedmsg import config as config_module
from fedmsg import options
from fedmsg.config import FedmsgConfig, _get_config_files

DEFAULTS = {name: row.default for name, row in options.TABLE.items() if row.in_conf}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """FEDMSG_CONFIG names an empty directory."""
    monkeypatch.setenv("FEDMSG_CONFIG", str(tmp_path))
    return tmp_path


@pytest.fixture
def conf():
    """A configuration that nobody has looked at."""
    return FedmsgConfig()


def everything(**kw):
    """Return the keywords of a call."""
    return kw


def test_not_loaded_by_comparison(conf):
    """An unread configuration equals an empty dict; comparing and repr do not load."""
    assert conf == {}
    assert repr(conf) == "{}"
    assert conf == {}


def test_default_table(conf):
    """Without files, conf is the table of defaults, 48 keys."""
    assert conf.copy() == DEFAULTS
    assert conf == DEFAULTS
    assert len(conf) == 48


READERS = {
    "[]": lambda conf: conf["timeout"] == 2,
    "get": lambda conf: conf.get("timeout") == 2,
    "copy": lambda conf: conf.copy() == DEFAULTS,
    "in": lambda conf: "timeout" in conf,
    "len": lambda conf: len(conf) == 48,
    "bool": bool,
    "iter": lambda conf: list(conf) == list(DEFAULTS),
    "reversed": lambda conf: list(reversed(conf)) == list(reversed(DEFAULTS)),
    "keys": lambda conf: list(conf.keys()) == list(DEFAULTS),
    "values": lambda conf: list(conf.values()) == list(DEFAULTS.values()),
    "items": lambda conf: dict(conf.items()) == DEFAULTS,
    "dict": lambda conf: dict(conf) == DEFAULTS,
    "display": lambda conf: {**conf} == DEFAULTS,
    "call": lambda conf: everything(**conf) == DEFAULTS,
    "update": lambda conf: everything(x=1, **conf) == {**DEFAULTS, "x": 1},
    "or": lambda conf: conf | {"x": 1} == {**DEFAULTS, "x": 1},
    "ror": lambda conf: {"x": 1} | conf == {**DEFAULTS, "x": 1},
    "pop": lambda conf: conf.pop("timeout") == 2,
    "popitem": lambda conf: conf.popitem() == ("skip_last_message", False),
    "setdefault": lambda conf: conf.setdefault("timeout", 5) == 2,
    "deepcopy": lambda conf: copy.deepcopy(conf) == DEFAULTS,
    "del": lambda conf: conf.__delitem__("timeout") is None,
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_every_reader_loads(conf, reader):
    """Whichever way it is read first, conf is complete."""
    assert reader(conf)
    assert conf._loaded


@pytest.mark.parametrize("name", ["get", "[]", "copy"])
def test_load_config_is_called_once(conf, name):
    """The first look calls load_config of the instance, exactly once."""
    calls = []
    conf.load_config = lambda: calls.append(1) or FedmsgConfig.load_config(conf)
    for _ in range(2):
        READERS[name](conf)
    assert calls == [1]


def test_replaced_load_config(conf):
    """A replacement that loads nothing is called once by copy, too."""
    calls = []
    conf.load_config = lambda: calls.append(1)
    assert conf.copy() == {}
    assert calls == [1]


def test_missing_key(conf):
    """An unknown key is a KeyError, and None for get."""
    with pytest.raises(KeyError, match="nothing"):
        conf["nothing"]
    assert conf.get("nothing") is None


def test_defaults_are_not_shared(conf):
    """Changing a value does not change the next instance."""
    conf["endpoints"]["x"] = ["y"]
    conf["irc"][0]["filters"]["body"].append("z")
    assert FedmsgConfig().copy() == DEFAULTS


def test_early_values_survive(conf, place):
    """What was set before the first look wins over the files."""
    (place / "a.py").write_text("config = {'io_threads': 3, 'timeout': 4}")
    conf["io_threads"] = "7"
    conf.update(mine=1)
    assert (conf["io_threads"], conf["mine"], conf["timeout"]) == (7, 1, 4)


def test_settings_replace_files(conf, place):
    """Explicit settings are laid over the defaults, and the files are not read."""
    (place / "a.py").write_text("config = {'io_threads': 3}")
    settings = {"timeout": "9", "mine": {"a": 1}}
    conf.load_config(settings)
    assert conf == {**DEFAULTS, "timeout": 9, "mine": {"a": 1}}
    conf["mine"]["a"] = 2
    assert settings["mine"] == {"a": 1}


def test_loading_again_resets_known_keys(conf):
    """A second load_config returns known keys to their values and keeps the others."""
    conf.load_config({"timeout": 9, "mine": 1})
    conf.load_config()
    assert conf == {**DEFAULTS, "mine": 1}


def test_all_errors_are_reported(conf):
    """One ValueError lists every bad key, in the order of the table."""
    bad = {"active": 5, "io_threads": "one", "timeout": None, "zmq_linger": -1}
    with pytest.raises(ValueError) as caught:
        conf.load_config(bad)
    text = str(caught.value)
    assert text.startswith(
        "Invalid configuration values were set: \n\tio_threads: invalid literal for int() with "
        "base 10: 'one'\n\ttimeout: int() argument must be"
    )
    assert text.endswith(
        "\n\tzmq_linger: Integer must be greater than or equal to zero"
        '\n\tactive: "5" is not a boolean value.'
    )


def test_failed_load_changes_nothing(conf):
    """After an error conf is as it was, and the next look loads."""
    with pytest.raises(ValueError):
        conf.load_config({"timeout": None})
    assert conf == {}
    assert not conf._loaded
    assert conf["timeout"] == 2


def test_endpoints_are_listified(conf):
    """Single addresses become lists."""
    conf.load_config({"endpoints": {"a": "x", "b": ("y",)}})
    assert conf["endpoints"] == {"a": ["x"], "b": ["y"]}


def test_files_are_merged(conf, place):
    """Files are read by name, merged with each other, and replace defaults key by key."""
    (place / "b.py").write_text("config = {'endpoints': {'b': 'y'}, 'timeout': 5}")
    (place / "a.py").write_text("config = {'endpoints': {'a': 'x'}, 'timeout': 4}")
    assert conf["endpoints"] == {"a": ["x"], "b": ["y"]}
    assert conf["timeout"] == 5


def test_one_call_for_each_file(conf, monkeypatch):
    """The files are processed one by one."""
    calls = []
    monkeypatch.setattr(config_module, "_get_config_files", lambda: ["/a", "/b"])
    monkeypatch.setattr(
        config_module, "_process_config_file", lambda filenames: calls.append(filenames) or {}
    )
    conf.load_config()
    assert calls == [["/a"], ["/b"]]


def test_topic_prefix_re(conf):
    """The topic pattern can be read, and follows the prefix; it is not one of the keys."""
    assert conf["topic_prefix_re"] == conf.get("topic_prefix_re") == r"com\.example\.[^\W\d_]+"
    conf["topic_prefix"] = "a.b"
    assert conf["topic_prefix_re"] == r"a\.b\.[^\W\d_]+"
    assert "topic_prefix_re" not in conf.copy()
    conf["topic_prefix_re"] = "mine"
    assert conf["topic_prefix_re"] == conf.get("topic_prefix_re") == "mine"


def test_topic_prefix_re_of_special_text(conf):
    """Prefixes and environments with other characters match themselves."""
    conf.update(topic_prefix="a+b.(c)", environment="stg2")
    pattern = re.compile(conf["topic_prefix_re"] + r"\.(x)")
    assert pattern.match("a+b.(c).stg2.x").groups() == ("x",)
    assert pattern.match("a+b.(c).prod.x")
    assert not pattern.match("aab.(c).prod.x")


def test_config_files_of_a_directory(place):
    """Direct .py files in order of their names."""
    for name in ("b.py", "a.py", "c.txt"):
        (place / name).write_text("")
    (place / "d.py").mkdir()
    assert _get_config_files() == [str(place / "a.py"), str(place / "b.py")]


def test_config_file_of_any_suffix(place, monkeypatch):
    """FEDMSG_CONFIG may name one file."""
    (place / "settings").write_text("")
    monkeypatch.setenv("FEDMSG_CONFIG", str(place / "settings"))
    assert _get_config_files() == [str(place / "settings")]


@pytest.mark.parametrize("value", [None, ""])
def test_no_config_files(monkeypatch, value):
    """Nothing at the default place is no file, and one line in the log."""
    logged = []
    monkeypatch.delenv("FEDMSG_CONFIG")
    if value is not None:
        monkeypatch.setenv("FEDMSG_CONFIG", value)
    monkeypatch.setattr(config_module.os.path, "isfile", lambda path: False)
    monkeypatch.setattr(config_module.os.path, "isdir", lambda path: False)
    monkeypatch.setattr(config_module._log, "info", lambda *args: logged.append(args))
    assert _get_config_files() == []
    assert logged == [("No configuration files found in %s", "/etc/fedmsg.d")]


def test_empty_directory():
    """An empty directory is no file."""
    assert _get_config_files() == []


def test_module_instance():
    """conf is an instance, and a dict."""
    assert isinstance(config_module.conf, FedmsgConfig)
    assert isinstance(config_module.conf, dict)
