"""What the doctor says of files, and what it does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parts import run_script

from fedmsg.commands import doctor as module
from fedmsg.commands.doctor import doctor

SECRET = "pssst"


@pytest.fixture
def write() -> Callable[[str, str], str]:
    """A function that writes a file in ./fedmsg.d and returns its path."""

    def put(name: str, text: str) -> str:
        path = Path.cwd() / "fedmsg.d" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    return put


def test_sources_of_keys(diagnose: Any, write: Any) -> None:
    """Which files were read, in order, and which key came from which; the last one wins."""
    a = write("a.py", "config = {'endpoints': {}, 'irc_method': 'msg'}")
    b = write("b.py", "config = {'irc_method': 'notice'}")
    report = diagnose("--as=relay")
    assert report.sources == {"endpoints": [a], "irc_method": [a, b]}
    assert report.having("ok", f"{a} sets endpoints, irc_method")
    assert report.having("ok", f"irc_method is set by {a}, {b}: the last one wins")


def test_a_file_that_fails(diagnose: Any, write: Any) -> None:
    """It is named with the line, and not quoted; the others count."""
    bad = write("a.py", f"x = 1\nconfig = {{'stomp_pass': '{SECRET}'}}['{SECRET}']\n")
    worse = write("b.py", f"config = ('{SECRET}'\n")
    none = write("c.py", "nothing = 1\n")
    gone = write("d.py", "raise SystemExit(0)\n")
    good = write("e.py", "config = {'endpoints': {}}")
    report = diagnose("--as=relay")
    assert report.status == 2
    errors = report.having("error", "a.py") + report.having("error", "b.py")
    assert errors == [f"{bad} fails: KeyError in line 2", f"{worse} fails: SyntaxError in line 1"]
    assert report.having("error", f"{none} must bind the name 'config'")
    assert report.having("error", f"{gone} fails: SystemExit")
    assert report.sources == {"endpoints": [good]}
    assert SECRET not in report.text


def test_what_files_print_is_not_in_the_report(
    write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes to standard error."""
    write("a.py", "print('hello')\nconfig = {'endpoints': {}}")
    doctor(["--as=relay"])
    assert "hello" not in capsys.readouterr().out


def test_a_file_that_hangs() -> None:
    """It is given up, and the report says so."""
    Path("fedmsg-config.py").write_text("import time\ntime.sleep(3600)\nconfig = {}\n")  # noqa: sleep
    output = run_script(
        """
        from fedmsg.commands import doctor
        doctor._SECONDS = 0.5
        print(doctor.doctor([]))
        """
    )
    assert "reading them: no answer within 0.5 s" in output
    assert output.endswith("\n2\n")


def test_no_such_file(diagnose: Any) -> None:
    """Status 2."""
    report = diagnose("--config-filename=/nonexistent")
    assert report.status == 2
    assert report.having("error", "'/nonexistent' is not a file")


def test_no_endpoints(diagnose: Any, write: Any) -> None:
    """Where there are files, one of them has to have it."""
    write("a.py", "config = {}")
    assert diagnose("--as=relay").having("error", "no file sets 'endpoints'")


def test_no_files(diagnose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in set-up, and a word to who has set FEDMSG_CONFIG."""
    monkeypatch.setenv("FEDMSG_CONFIG", "/somewhere")
    monkeypatch.setattr(module, "_CHECKS", [])
    report = diagnose()
    assert report.status == 0
    assert report.having("ok", "built-in set-up")
    assert report.having("ok", "FEDMSG_CONFIG is for fedmsg.config.conf only")


def test_a_file_that_everybody_can_change(diagnose: Any, write: Any) -> None:
    """It is executed."""
    path = write("a.py", "config = {'endpoints': {}}")
    os.chmod(path, 0o666)
    report = diagnose("--as=relay")
    assert report.having("warning", f"{path} is executed as code")


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("zmq_linger", "soon", "zmq_linger: invalid literal for int() with base 10: 'soon'"),
        ("sign_messages", "perhaps", '"perhaps" must be a boolean'),
        ("endpoints", {"a": 1}, "the value of 'a' must be an address"),
    ],
)
def test_wrong_values(diagnose: Any, key: str, value: Any, text: str) -> None:
    """The key, the value and what it is for."""
    report = diagnose("--as=relay", **{key: value})
    assert report.having("error", text)


def test_misspelt_keys(diagnose: Any) -> None:
    """A key that is nearly one is a warning; one of somebody else is none."""
    report = diagnose("--as=publisher", relay_inbond="x", **{"my.plugin.enabled": True})
    [finding] = [each for each in report.findings if "relay_inbond" in each["text"]
                 and each["level"] == "warning"]  # fmt: skip
    assert finding["remedy"] == "is it 'relay_inbound'?"
    assert not [text for text in report.problems if "my.plugin" in text]


def test_no_password_is_shown(diagnose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as a value nor in a URL nor in an error, in both forms of output."""
    report = diagnose(
        "--as=subscriber", stomp_pass=[SECRET], validate_signatures=True,
        irc={"password": SECRET}, api_key=SECRET,
        endpoints={"a": [f"tcp://me:{SECRET}@x"]}, ca_cert_location=f"/no/https://me:{SECRET}@h/",
    )  # fmt: skip
    assert report.having("error", "stomp_pass: the value is wrong")
    assert report.having("error", "irc: the value is wrong")
    assert report.having("error", "needs a host and a port")
    assert SECRET not in report.text


def test_control_characters_are_escaped(diagnose: Any) -> None:
    """No key and no value reaches the terminal as an escape sequence."""
    report = diagnose("--as=subscriber", endpoints={"a": ["\x1b[2J\u202e"]})
    assert report.having("error", r"\x1b[2J")
    assert "\\u001b" not in report.text


def test_plain_output(config_file: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each finding, its remedy below, and the numbers at the end."""
    file = config_file(endpoints={}, relay_inbond=1)
    assert doctor(["--as=subscriber", f"--config-filename={file}"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert f"ok       files          {file} sets endpoints, relay_inbond" in lines
    place = lines.index(
        "error    endpoints      'endpoints' is empty: there is nothing to listen to"
    )
    assert lines[place + 1].split(maxsplit=1)[0] == "->"
    assert lines[-1] == "1 errors, 1 warnings"


def test_a_check_that_fails(diagnose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error of its own, and the others go on."""

    def broken(_case: Any) -> Any:
        raise RuntimeError("oops")

    monkeypatch.setattr(module, "_CHECKS", [broken, *module._CHECKS])
    report = diagnose("--as=relay")
    assert report.having("error", "this check failed: RuntimeError: oops")
    assert report.having("ok", "pyzmq")


def test_nothing_is_changed(diagnose: Any, pki: Any) -> None:
    """No file appears, goes, or gets another time."""
    config = {**pki.config, "sign_messages": True, "validate_signatures": True}
    folders = [pki.folder, Path.cwd(), Path.home()]
    diagnose(**config)  # writes its configuration elsewhere

    def state() -> list[Any]:
        found = [path for folder in folders for path in sorted(folder.rglob("*"))]
        return [(path, path.stat().st_mtime_ns, path.stat().st_mode) for path in found]

    before = state()
    diagnose(**config)
    assert state() == before
