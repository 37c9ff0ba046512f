"""fedmsg-config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import fedmsg.config
from fedmsg import _loopback
from fedmsg.commands import config as module

pytestmark = pytest.mark.filterwarnings('ignore:Using "load_config":DeprecationWarning')

SCRIPT = Path(__file__).parents[3] / "scripts" / "fedmsg-config"
TEXT = (
    "config = {'endpoints': {'a': 'tcp://x:1'}, 'n': None, 'l': [1, 'b', {'x': 2}], 'yes': True,"
    " 's': 'text \\u00e9', 'a.b': 5, 'empty': [], 'f': 1.5, 'stomp_pass': 'hidden',"
    " 'uri': 'db://me:hidden@host/x', 'deep': [{'api_key': 'hidden'}], 'store': len}"
)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty place with the file named one.py, and nothing remembered."""
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["fedmsg-config"])
    monkeypatch.setitem(vars(fedmsg.config), "__cache", {})
    monkeypatch.setattr(_loopback, "_told", False)
    monkeypatch.setenv("PYTHONPATH", str(Path(fedmsg.config.__file__).parents[1]))
    (tmp_path / "one.py").write_text(TEXT, encoding="utf-8")
    (tmp_path / "one.py").chmod(0o644)
    return tmp_path


def query(text, *more):
    """Run the command on one.py with a query."""
    return module.config(["--config-filename", "one.py", "--query", text, *more])


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("l", "1\nb\n{'x': 2}\n"),
        ("yes", "true\n"),
        ("s", "text \u00e9\n"),
        ("f", "1.5\n"),
        ("n", "null\n"),
        ("empty", ""),
        ("endpoints", '{\n  "a": [\n    "tcp://x:1"\n  ]\n}\n'),
        ("endpoints.a", "tcp://x:1\n"),
        ("a.b", "5\n"),
        (" s , yes,endpoints.a", "text \u00e9\ntrue\ntcp://x:1\n"),
        ("store", '"<built-in function len>"\n'),
    ],
)
def test_query(capsys, text, output):
    """Strings are bare, lists have an item a line, the rest is JSON; several values follow."""
    assert query(text) is None
    assert capsys.readouterr() == (output, "")


@pytest.mark.parametrize(
    ("text", "missing"), [("zz", ["zz"]), ("endpoints.b, s,l.0", ["endpoints.b", "l.0"])]
)
def test_query_of_a_missing_key(capsys, text, missing):
    """Each missing key is named on standard error, nothing is printed, status 1."""
    with pytest.raises(SystemExit) as caught:
        query(text)
    assert caught.value.code == 1
    lines = [f"Key `{path}` does not exist in config\n" for path in missing]
    assert capsys.readouterr() == ("", "".join(lines))


def test_output_equals_load_config(place, capsys):
    """Without options the output is the configuration as JSON."""
    (place / "fedmsg-config.py").write_text("config = {'endpoints': {'a': 'x'}, 'q': 1}")
    (place / "fedmsg-config.py").chmod(0o644)
    module.config()
    assert json.loads(capsys.readouterr().out) == fedmsg.config.load_config()


def test_file_without_defaults(place, capsys):
    """--disable-defaults shows the file alone."""
    (place / "two.py").write_text("config = {'a': {'b': [1]}}")
    (place / "two.py").chmod(0o644)
    module.config(["--disable-defaults", "--config-filename", "two.py"])
    assert json.loads(capsys.readouterr().out) == {"a": {"b": [1]}}


def test_nothing_configured(capsys):
    """Without any file the built-in set-up is shown."""
    module.config(["--query", "relay_inbound,active"])
    assert capsys.readouterr().out == "tcp://127.0.0.1:2001\ntrue\n"


def test_redact(capsys):
    """--redact hides passwords, also in addresses and below lists; the rest stays."""
    module.config(["--config-filename", "one.py", "--redact"])
    shown = json.loads(capsys.readouterr().out)
    assert "hidden" not in json.dumps(shown)
    assert shown["stomp_pass"] == "***"
    assert shown["uri"] == "db://me:***@host/x"
    assert shown["endpoints"] == {"a": ["tcp://x:1"]}


def test_missing_file(capsys):
    """A file that does not exist is one line on standard error, and status 1."""
    assert module.config(["--config-filename", "none.py"]) == 1
    assert capsys.readouterr().err == "fedmsg-config: 'none.py' is not a file.\n"


def test_unknown_option(capsys):
    """The shared options of the other commands are a usage error here."""
    with pytest.raises(SystemExit) as caught:
        module.config(["--timeout", "1"])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_script(place):
    """The script file prints JSON and nothing else."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--config-filename", "one.py"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert json.loads(done.stdout)["a.b"] == 5
    assert done.stderr == ""
