"""``fedmsg-trigger`` as users run it: on a bus, and ended by signals."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import fedmsg

Start = Callable[..., Any]


@pytest.fixture
def triggering(
    command: Start, config_file: Callable[..., str], address: Callable[[], str],
    eventually: Callable[..., Any],
) -> Iterator[Start]:  # fmt: skip
    """A function that starts the command, and publishes until it has run once."""
    settings = {"endpoints": {"pub": [address()]}, "environment": "dev"}

    def start(shell: str, *options: str) -> Any:
        running = command(
            "fedmsg-trigger", f"--config-filename={config_file(**settings)}",
            f"--command={shell}", *options,
        )  # fmt: skip
        context = fedmsg.init(**settings, name="pub", post_init_sleep=0)

        def ran() -> bool:
            context.publish("x", {"text": "'; touch pwned; '"}, "test")
            return Path("ran").exists()

        eventually(ran, "the command")
        return running

    yield start
    Path("go").touch()


WAITING = "cat >> ran; until [ -e go ]; do sleep 0.02; done; echo done >> finished"


def test_runs_for_messages_of_a_bus(triggering: Start) -> None:
    """And ends with status 0 at SIGTERM."""
    running = triggering("cat >> ran")
    assert running.stop(signal.SIGTERM) == 0
    assert '"text":"\'; touch pwned; \'"' in Path("ran").read_text()
    assert not Path("pwned").exists()
    assert "Traceback" not in running.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_waits_for_the_command(triggering: Start, number: int) -> None:
    """What runs is waited for, what waits is dropped, and the status is 0."""
    running = triggering(WAITING)
    running.process.send_signal(number)
    running.says("Waiting for the running command")
    with pytest.raises(Exception, match="timed out"):
        running.wait(0.2)
    assert not Path("finished").exists()
    Path("go").touch()
    assert running.wait() == 0
    assert Path("finished").read_text() == "done\n"
    assert "Traceback" not in running.stderr


def test_second_signal_ends_the_command(triggering: Start, eventually: Callable[..., Any]) -> None:
    """With all that it has started."""
    running = triggering(f"echo $$ > pid; {WAITING}")
    running.process.send_signal(signal.SIGTERM)
    running.says("Waiting for the running command")
    assert running.stop(signal.SIGTERM) == 0
    pid = Path("pid").read_text().strip()
    eventually(lambda: not _alive(pid), "the end of the command")
    assert not Path("finished").exists()


def _alive(pid: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
