"""load_config: files, memo, endpoints and derived values."""

from __future__ import annotations

import importlib
import json
import os
import sys
import types
import warnings

import pytest

import fedmsg.config as config_module
from fedmsg.config import (
    _gather_configs_in,
    _process_config_file,
    _recursive_update,
    copy_config,
    execfile,
)
from fedmsg.exceptions import (
    ConfigFileError,
    ConfigurationError,
    MissingConfigName,
    MissingEndpoints,
)

pytestmark = pytest.mark.filterwarnings('ignore:Using "load_config":DeprecationWarning')

ENDPOINTS = "config = {'endpoints': {'a': 'tcp://h:1'}}"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty directory that is home and current directory, and an empty memo."""
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setitem(vars(config_module), "__cache", {})
    return tmp_path


def write(path, text=ENDPOINTS):
    """Write a configuration file and return its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


def load(*args, **kw):
    """Call load_config through the module, as fedmsg does."""
    return config_module.load_config(*args, **kw)


def load_text(place, text, **kw):
    """Load one file with this text."""
    return load([], None, filenames=[write(place / "one.py", text)], **kw)


def test_defaults_and_file(place):
    """A file is laid over the defaults, which are not changed."""
    config = load_text(place, "config = {'endpoints': {}, 'io_threads': 5}")
    assert config == {
        **config_module.defaults,
        "endpoints": {},
        "io_threads": 5,
        "topic_prefix_re": r"org\.fedoraproject\.[^\W\d_]+",
    }
    config["logging"]["handlers"].clear()
    assert config_module.defaults["logging"]["handlers"]


def test_logging_is_replaced_whole(place):
    """A dict of the files replaces the default dict."""
    assert load_text(place, "config = {'endpoints': {}, 'logging': {'version': 1}}")["logging"] == {
        "version": 1
    }


def test_search_order(place, monkeypatch):
    """Directories come first, then single files; within a directory, names in order."""
    monkeypatch.setenv("VIRTUAL_ENV", str(place / "venv"))
    names = [
        place / "home/.fedmsg.d/b.py",
        place / "work/fedmsg.d/a.py",
        place / "work/fedmsg.d/b.py",
        place / "venv/etc/fedmsg.d/a.py",
        place / "home/.fedmsg-config.py",
        place / "work/fedmsg-config.py",
    ]
    for number, name in enumerate(names):
        write(name, f"config = {{'last': {number}, 'n{number}': 1, 'endpoints': {{}}}}")
        config = load(invalidate_cache=True)
        assert config["last"] == number
    assert [key for key in config if key.startswith("n")] == [f"n{n}" for n in range(6)]


def test_gather_configs_in(place):
    """Python files directly in a directory; no other entries, no missing directory."""
    write(place / "d/b.py"), write(place / "d/a.py"), write(place / "d/x.txt")
    (place / "d/dir.py").mkdir()
    assert _gather_configs_in(str(place / "d")) == [str(place / "d/a.py"), str(place / "d/b.py")]
    assert _gather_configs_in(str(place / "nothing")) == []


def test_files_are_merged_recursively(place):
    """The endpoints of several files add up; lists are replaced."""
    files = [
        write(place / "1.py", "config = {'endpoints': {'a': ['x', 'y']}, 'logging': {'p': 1}}"),
        write(place / "2.py", "config = {'endpoints': {'b': ['x'], 'a': ['z']}}"),
    ]
    assert _process_config_file(filenames=files) == {
        "endpoints": {"a": ["z"], "b": ["x"]},
        "logging": {"p": 1},
    }


def test_recursive_update():
    """Dicts are merged, scalars overwrite, and the first argument is returned."""
    first = {"a": {"a": 2}, "s": 1}
    assert _recursive_update(first, {"a": {"b": 3}, "s": 2}) is first
    assert first == {"a": {"a": 2, "b": 3}, "s": 2}


def test_shared_dicts_are_not_changed(place, monkeypatch):
    """A dict that a file takes from elsewhere is left alone by the merge."""
    settings = types.ModuleType("shared_settings")
    settings.config = {"endpoints": {"a": "x"}}
    monkeypatch.setitem(sys.modules, "shared_settings", settings)
    files = [
        write(place / "1.py", "from shared_settings import config"),
        write(place / "2.py", "config = {'endpoints': {'b': 'y'}}"),
    ]
    assert load(filenames=files)["endpoints"] == {"a": ["x"], "b": ["y"]}
    assert settings.config == {"endpoints": {"a": "x"}}


def test_file_knows_its_name(place):
    """A file sees __file__ and nothing of the importing module."""
    text = "config = {'endpoints': {}, 'file': __file__, 'os': 'os' in globals()}"
    config = load_text(place, text)
    assert (config["file"], config["os"]) == (str(place / "one.py"), False)


def test_file_is_ordinary_code(place):
    """The compiler flags of fedmsg's own modules do not apply to a file."""
    text = "def f(x: 1): pass\nconfig = {'endpoints': {}, 'x': f.__annotations__}"
    assert load_text(place, text)["x"] == {"x": 1}


def test_execfile(place):
    """The code of a file changes the namespace given."""
    space = {"x": 1}
    execfile(write(place / "f.py", "y = x + 1"), space)
    assert space["y"] == 2


@pytest.mark.parametrize("text", ["", "config = 5", "Config = {}"])
def test_file_without_config(place, text):
    """A file that binds no dict is named in the error, a ValueError and a KeyError."""
    with pytest.raises(MissingConfigName, match="one.py must bind") as caught:
        load_text(place, text)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, KeyError)


@pytest.mark.parametrize(
    ("text", "told", "error"),
    [
        ("config = {", "line 1: SyntaxError: '{' was never closed", SyntaxError),
        ("\nopen('/no/such/file')", "line 2: FileNotFoundError: .*/no/such/file", OSError),
        ("config = {}\0", "null bytes", (SyntaxError, ValueError)),
        ("import json\n\njson.loads('{')", "line 3: JSONDecodeError: Expecting", ValueError),
        ("\n\n'\\N{'", r"line 3: SyntaxError: \(unicode error\)", SyntaxError),
    ],
)
def test_errors_of_a_file_name_file_and_line(place, text, told, error):
    """Syntax errors, and errors raised by the code, are errors of the configuration."""
    with pytest.raises(ConfigFileError, match=f"one.py.*{told}") as caught:
        load_text(place, text)
    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value.__cause__, error)


def test_unreadable_file_is_skipped(place, monkeypatch):
    """A file that cannot be opened is a warning with the reason."""
    files = [write(place / "1.py"), write(place / "2.py")]
    real = open

    def fail(name, *args):
        if name == files[1]:
            raise PermissionError(13, "Permission denied", name)
        return real(name, *args)

    monkeypatch.setattr("builtins.open", fail)
    with pytest.warns(UserWarning, match="Permission denied"):
        assert load(filenames=files)["endpoints"] == {"a": ["tcp://h:1"]}


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX systems")
def test_world_writable_file_warns(place):
    """A file that every user may change is read, with a warning."""
    name = write(place / "one.py")
    os.chmod(name, 0o646)
    with pytest.warns(UserWarning, match="every user may change"):
        load(filenames=[name])


def test_named_file_must_exist():
    """A file that was asked for and is missing is a ValueError."""
    with pytest.raises(ValueError) as caught:
        load(filenames=["missing.py"])
    assert str(caught.value) == "'missing.py' is not a file."


def test_config_filename_of_a_file(place):
    """A file may send the reader to another one, which is then the only one."""
    other = write(place / "other.py", "config = {'endpoints': {}, 'b': 1}")
    write(place / "work/fedmsg-config.py", f"config = {{'config_filename': {other!r}, 'a': 1}}")
    config = load()
    assert config["b"] == 1
    assert "a" not in config


def test_print_config(place, capsys):
    """The configuration is printed as JSON, objects by their repr, and the process ends."""
    with pytest.raises(SystemExit) as caught:
        load_text(place, "config = {'print_config': True, 'persistent_store': len}")
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["persistent_store"] == repr(len)


def test_missing_endpoints(place):
    """Without endpoints the error has what was loaded, and where it looked."""
    write(place / "work/fedmsg-config.py", "config = {'x': 1}")
    with pytest.raises(MissingEndpoints, match="^No config value 'endpoints' found.") as caught:
        load()
    assert caught.value.config["x"] == 1
    assert caught.value.files == [str(place / "work/fedmsg-config.py")]


def test_missing_endpoints_without_files(place, monkeypatch):
    """Without any file the text lists the places, and explains FEDMSG_CONFIG if it is set."""
    monkeypatch.setenv("FEDMSG_CONFIG", "/x")
    with pytest.raises(MissingEndpoints) as caught:
        load()
    assert caught.value.files == []
    assert f"{place}/work/fedmsg-config.py" in str(caught.value)
    assert "fedmsg.config.conf only" in str(caught.value)


def test_disable_defaults(place):
    """Only what the files say, and nothing is required."""
    assert load_text(place, "config = {'a': 1}", disable_defaults=True) == {"a": 1}


@pytest.mark.parametrize("value", ["None", "[]", "'x'"])
def test_endpoints_must_be_a_dict(place, value):
    """Endpoints of another type are a ValueError."""
    with pytest.raises(ConfigurationError, match="^The 'endpoints' config value must be a dict"):
        load_text(place, f"config = {{'endpoints': {value}}}")


def test_endpoint_values(place):
    """Every value of endpoints is a list afterwards."""
    config = load_text(place, "config = {'endpoints': {'a': 'x', 'b': ('x', 'y'), 'c': ['z']}}")
    assert config["endpoints"] == {"a": ["x"], "b": ["x", "y"], "c": ["z"]}


def test_wrong_endpoint_is_named(place):
    """A value that is no address is named in the error."""
    with pytest.raises(ConfigurationError, match="'endpoints'.*'a'.*5"):
        load_text(place, "config = {'endpoints': {'a': 5}}")


def test_gone_working_directory(place):
    """A process whose directory was removed can still load."""
    if sys.platform == "win32":
        pytest.skip("a directory in use cannot be removed on this system")
    os.rmdir(place / "work")
    write(place / "home/.fedmsg-config.py")
    assert load()["endpoints"] == {"a": ["tcp://h:1"]}


def test_copy_config():
    """Containers are copied at any depth, other objects are shared."""
    lock = object()
    original = {"a": [{"b": [1]}], "t": ([1],), "s": {1}, "o": lock}
    copy = copy_config(original)
    assert copy == original
    copy["a"][0]["b"].append(2)
    copy["t"][0].append(2)
    assert original == {"a": [{"b": [1]}], "t": ([1],), "s": {1}, "o": lock}
    assert copy["o"] is lock


def test_import_is_silent():
    """Importing the module warns of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        importlib.import_module("fedmsg.config")
