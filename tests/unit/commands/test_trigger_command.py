"""``fedmsg-trigger`` in this process, with real shells."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fedmsg
from fedmsg.commands.trigger import TriggerCommand

pytestmark = pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs /bin/bash")

HOSTILE = [
    "'", "'; touch pwned; '", '"; touch pwned; "', "$(touch pwned)", "`touch pwned`",
    "| touch pwned", "\n touch pwned", "> pwned", "\x00", "\x1b[2J", "\\", "%s", "\ud800",
    "é\u2028", "-c", "x" * 300_000,
]  # fmt: skip


@pytest.fixture
def make(config_file: Callable[..., str]) -> Callable[..., TriggerCommand]:
    """A function that makes the command with options."""
    file = config_file(endpoints={})

    def command(*options: str) -> TriggerCommand:
        return TriggerCommand([f"--config-filename={file}", "--post-init-sleep=0", *options])

    return command


@pytest.fixture
def arriving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that says which messages come, and when the command may end."""

    def come(messages: list[dict[str, Any]], enough: Callable[[], Any]) -> None:
        def tail_messages(self: Any, **_kw: Any) -> Iterator[tuple[str, str, str, Any]]:
            for message in messages:
                yield "name", "endpoint", message["topic"], message
            enough()

        monkeypatch.setattr(fedmsg.FedMsgContext, "tail_messages", tail_messages)

    return come


def lines(path: str = "out") -> list[str]:
    """Return the lines of a file, none if it is not there."""
    return Path(path).read_text().splitlines() if os.path.exists(path) else []


def test_without_command(
    make: Callable[..., TriggerCommand], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and a log line that says why."""
    assert make().execute() == 1
    assert "You must provide a --command to run." in capsys.readouterr().err


@pytest.mark.parametrize(
    "option", ["--wait-for=soon", "--wait-for=-1", "--wait-for=nan", "--max-queue-size=1.5",
               "--max-queue-size=-1", "--exclude=(", "--include=["],
)  # fmt: skip
def test_bad_options_are_usage_errors(make: Callable[..., TriggerCommand], option: str) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit) as stopped:
        make(option)
    assert stopped.value.code == 2


def test_each_message_on_standard_input(
    make: Callable[..., TriggerCommand], arriving: Callable[..., None],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """One line of compact, sorted JSON for every accepted message, in order."""
    messages = [{"topic": f"t{n}", "msg": {"b": n, "a": "é"}} for n in range(5)]
    messages.insert(2, {"topic": "t._heartbeat"})
    arriving(messages, lambda: eventually(lambda: len(lines()) == 5))
    assert make("--command=cat >> out").execute() is None
    assert lines()[0] == r'{"msg":{"a":"\u00e9","b":0},"topic":"t0"}'
    assert [json.loads(line)["topic"] for line in lines()] == [f"t{n}" for n in range(5)]


@pytest.mark.parametrize("text", HOSTILE)
def test_message_text_reaches_no_shell(make: Callable[..., TriggerCommand], text: str) -> None:
    """Whatever it is, the command gets it whole on its input, and nothing is executed."""
    message = {"topic": text, "msg": {"text": text, text: 1}}
    shell = "cat > ../out; env -u PYTEST_CURRENT_TEST > ../env; ls -A > ../files"
    Path("only").mkdir()
    os.chdir("only")
    assert make().run_command(shell, message) == 0
    [line] = lines("../out")
    assert json.loads(line) == message
    assert lines("../files") == []
    if len(text) > 5:
        assert text not in Path("../env").read_text()


def test_status_of_the_command(
    make: Callable[..., TriggerCommand], caplog: pytest.LogCaptureFixture
) -> None:
    """Returned; logged if it is not 0."""
    command = make()
    logging.getLogger("fedmsg").propagate = True
    assert command.run_command("cat > /dev/null; exit 3", {}) == 3
    assert "Command returned error code 3" in caplog.text
    caplog.clear()
    assert command.run_command("true", {"msg": "x" * 1_000_000}) == 0  # does not read
    assert caplog.text == ""


def test_it_is_bash(make: Callable[..., TriggerCommand]) -> None:
    """As in 1.1.7, so that its syntax can be used."""
    assert make().run_command("[[ abc == a* ]] && read -r x && echo ${x:0:1} > out", {}) == 0
    assert lines() == ["{"]


def test_without_bash(
    make: Callable[..., TriggerCommand], monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """An error in the log, and the status that shells give."""
    import subprocess

    def missing(*_args: Any, **_kw: Any) -> Any:
        raise FileNotFoundError("/bin/bash")

    command = make()
    logging.getLogger("fedmsg").propagate = True
    monkeypatch.setattr(subprocess, "Popen", missing)
    assert command.run_command("true", {}) == 127
    assert "cannot run the command: /bin/bash" in caplog.text


def test_two_messages_within_the_delay(
    make: Callable[..., TriggerCommand], arriving: Callable[..., None],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """Two runs; 1.1.7 made none."""
    arriving([{"topic": "a"}, {"topic": "b"}], lambda: eventually(lambda: len(lines()) == 2))
    make("--command=cat >> out", "--wait-for=0.2").execute()
    assert [json.loads(line)["topic"] for line in lines()] == ["a", "b"]


def test_max_queue_size(
    make: Callable[..., TriggerCommand], arriving: Callable[..., None],
    eventually: Callable[..., Any], capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """More than that do not wait; what waits at the end is dropped, and told."""
    arriving([{"topic": f"t{n}"} for n in range(5)], lambda: eventually(lambda: len(lines()) == 3))
    make("--command=cat >> out", "--wait-for=3600", "--max-queue-size=2").execute()
    assert len(lines()) == 3
    assert "2 messages were waiting for the command and are dropped" in capsys.readouterr().err


def test_deep_message_is_passed_over(
    make: Callable[..., TriggerCommand], arriving: Callable[..., None],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """What Python cannot write again ends nothing."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    arriving([{"topic": "deep", "msg": deep}, {"topic": "after"}], lambda: eventually(lines))
    make("--command=cat >> out").execute()
    while deep:
        deep = deep.pop()  # freed one by one
    assert [json.loads(line)["topic"] for line in lines()] == ["after"]
