"""The base class of commands and what ends them."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

import fedmsg.commands
import fedmsg.config
from fedmsg import _loopback
from fedmsg.commands import BaseCommand, guarded, join_endpoints, run_command
from fedmsg.exceptions import FedmsgError, MissingDependency, MissingEndpoints


class Command(BaseCommand):
    """Do something.

    With 100 % of %s.
    """

    name = "fedmsg-something"
    extra_args = [(["--own"], {"dest": "own", "default": "x"})]  # noqa: RUF012  as plug-ins do

    def run(self):
        return self.config["own"]


@pytest.fixture(autouse=True)
def applied(tmp_path, monkeypatch):
    """An empty place, a plain command line, and the logging settings that were applied."""
    for name in ("FEDMSG_CONFIG", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/fedmsg-something"])
    monkeypatch.setitem(vars(fedmsg.config), "__cache", {})
    monkeypatch.setattr(_loopback, "_told", False)
    monkeypatch.setenv("PYTHONPATH", str(Path(fedmsg.config.__file__).parents[1]))
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    found: list = []
    monkeypatch.setattr(fedmsg.commands, "dictConfig", found.append)
    return found


@pytest.fixture
def loaded(monkeypatch):
    """load_config is replaced; the list has the calls, the first entry is what it returns."""
    calls: list = [{"own": 5, "logging": {"version": 1, "x": 2}}]

    def load_config(*args, **kw):
        calls.append((args, kw))
        return calls[0]

    monkeypatch.setattr(fedmsg.config, "load_config", load_config)
    return calls


def test_constructor(loaded, applied):
    """Configuration, then logging, then the logger, all through names that tests replace."""
    command = Command()
    assert loaded[1:] == [((Command.extra_args, Command.__doc__), {"fedmsg_command": True})]
    assert command.config is loaded[0]
    assert applied == [{"version": 1, "x": 2}]
    assert command.log is logging.getLogger("fedmsg.commands")
    assert command.execute() == 5


def test_without_logging_settings(loaded, applied):
    """A configuration without logging changes nothing in it."""
    del loaded[0]["logging"]
    Command()
    assert applied == [{"version": 1}]


def test_argv(loaded):
    """A command line can be given to the constructor."""
    Command(["--own", "y"])
    assert loaded[1][1] == {"fedmsg_command": True, "argv": ["--own", "y"]}


def test_real_command_line(monkeypatch):
    """The command's own options end up in the configuration."""
    monkeypatch.setattr(sys, "argv", ["prog", "--own", "z", "--timeout", "7"])
    command = Command()
    assert (command.config["own"], command.config["timeout"]) == ("z", 7.0)


def test_nothing_configured(caplog, monkeypatch):
    """Without any file a command uses the built-in set-up, and says so when logging is ready."""
    caplog.set_level(logging.INFO, "fedmsg.config")
    told_before = []
    monkeypatch.setattr(
        fedmsg.commands, "dictConfig", lambda settings: told_before.extend(caplog.messages)
    )
    command = Command([])
    assert command.config["active"] is True
    assert command.config["endpoints"] == {"relay_outbound": ["tcp://127.0.0.1:4001"]}
    assert told_before == []
    assert [text[:21] for text in caplog.messages] == ["Nothing is configured"]


def test_configured_without_endpoints(tmp_path):
    """Files without endpoints are an error."""
    (tmp_path / "fedmsg-config.py").write_text("config = {}")
    (tmp_path / "fedmsg-config.py").chmod(0o644)
    with pytest.raises(MissingEndpoints):
        Command([])


def test_class_attributes():
    """What third parties' commands find in the base class."""
    assert (BaseCommand.extra_args, BaseCommand.daemonizable) == (None, False)


def test_run_is_for_subclasses(loaded):
    """The base class does nothing by itself."""
    with pytest.raises(NotImplementedError):
        BaseCommand().execute()


def test_interrupt(loaded, capsys):
    """Ctrl-C gives an empty line and no status."""

    class Interrupted(Command):
        def run(self):
            raise KeyboardInterrupt

    assert Interrupted().execute() is None
    assert capsys.readouterr().out == "\n"


def test_run_command(loaded):
    """The result of a command is the exit status; constructors without arguments work."""

    class Old(Command):
        def __init__(self):
            super().__init__()

    assert run_command(Old) == 5
    assert run_command(Command, ["--own", "y"]) == 5
    assert loaded[-1][1]["argv"] == ["--own", "y"]


def failing(error):
    """Return a function that raises."""

    def fail():
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (FedmsgError("no relay"), "fedmsg-something: no relay\n"),
        (OSError("in use"), "fedmsg-something: in use\n"),
        (MissingDependency("needs x"), "fedmsg-something: needs x\n"),
        (
            ModuleNotFoundError("No module named 'pygments'", name="pygments.lexers"),
            (
                "fedmsg-something: No module named 'pygments': "
                "install this package with its extra: pip install '.[commands]'\n"
            ),
        ),
    ],
)
def test_expected_errors(capsys, error, text):
    """Errors of fedmsg, of the system and of missing extras are one line, and status 1."""
    assert guarded(failing(error)) == 1
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize("error", [ValueError("x"), ImportError("x", name="other"), SystemExit(3)])
def test_other_errors_pass(error):
    """Bugs keep their traceback, SystemExit its status."""
    with pytest.raises(type(error)):
        guarded(failing(error))


def test_interrupt_while_starting(capsys):
    """Ctrl-C before a command runs is a quiet end, too."""
    assert guarded(failing(KeyboardInterrupt())) == 0
    assert capsys.readouterr().out == "\n"


@pytest.mark.parametrize("ending", ["return 0", "raise SystemExit(0)"])
def test_closed_pipe(ending):
    """A reader of standard output that has gone is no error and no traceback."""
    code = (
        "import sys\nfrom fedmsg.commands import guarded\n"
        f"def work():\n    sys.stdin.read()\n    print('x')\n    {ending}\n"
        "sys.exit(guarded(work))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        process.stdout.close()
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0


@pytest.mark.parametrize(
    ("value", "joined"), [("tcp://a:1", "tcp://a:1"), (["a", "b"], "a,b"), (("a",), "a"), ([], "")]
)
def test_join_endpoints(value, joined):
    """One address, or several with commas."""
    assert join_endpoints(value) == joined
