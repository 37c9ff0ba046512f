"""Together on one bus with the released 1.1.7, which runs in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peer_parts import OURS, Program, script

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

COUNT = 10_000
#: A publisher of 1.1.7 drops what is beyond libzmq's default of 1,000 in its queue (core.md D8).
WINDOW = 500
TEXT = "grüße \u2028 日本 \U0001f600"
TOPIC = "thé.日本"


@pytest.fixture
def config_path(settings: dict[str, Any], tmp_path: Path) -> Path:
    """The same as a file, where both find it without being told."""
    folder = tmp_path / "cwd" / "fedmsg.d"
    folder.mkdir()
    path = folder / "bus.py"
    path.write_text(f"config = {settings!r}\n")
    return path


@pytest.mark.usefixtures("config_path")
@pytest.mark.parametrize("direction", ["old to new", "new to old"])
def test_publish_and_tail(
    peer: str, start: Callable[..., Program], settings: dict[str, Any],
    eventually: Callable[..., Any], direction: str,
) -> None:  # fmt: skip
    """10,000 messages, bound and connected directly: all arrive, in order."""
    sender, receiver = (peer, OURS) if direction == "old to new" else (OURS, peer)
    tail = start(*script(receiver, "tail.py"), json.dumps({**settings, "mute": True}))
    publisher = start(
        *script(sender, "publish.py"), json.dumps({**settings, "name": "pub"}), str(COUNT),
        str(WINDOW), TOPIC, TEXT,
    )  # fmt: skip
    check(publisher, tail, eventually)


def check(publisher: Program, tail: Program, eventually: Callable[..., Any]) -> None:
    """See a probe arrive, let the publisher go, and compare."""
    eventually(lambda: "probe" in tail.output, "a probe", 30)
    for count in range(WINDOW, COUNT + 1, WINDOW):
        publisher.say()
        eventually(lambda: len(tail.received()) >= count, f"{count} received", 60)  # noqa: B023
    publisher.say()
    topic = f"org.fedoraproject.dev.test.{TOPIC}"
    assert tail.received() == [[topic, {"n": n, "text": TEXT}] for n in range(COUNT)]


@pytest.mark.parametrize(("relay", "sender"), [("new", "old"), ("old", "new")])
def test_logger_through_a_relay(
    peer: str, start: Callable[..., Program], config_path: Path,
    eventually: Callable[..., Any], relay: str, sender: str,
) -> None:  # fmt: skip
    """Old logger, our relay, old tail; and our logger, old relay, our tail."""
    where = {"old": peer, "new": OURS}
    option = f"--config-filename={config_path}"
    start(os.path.join(where[relay], "fedmsg-relay"), option)
    tail = start(*script(where[sender], "tail.py"), json.dumps({"mute": True}))
    lines = [f"line {number} {TEXT.replace(chr(0x2028), ' ')}" for number in range(200)]

    def logged(text: str) -> None:
        subprocess.run(
            [os.path.join(where[sender], "fedmsg-logger"), option], input=text, text=True,
            check=True, timeout=60, encoding="utf-8", stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip

    def joined() -> bool:
        try:
            logged("joining\n")
        except subprocess.CalledProcessError:
            return False
        return bool(tail.received())

    eventually(joined, "a line at the tail", 60)
    logged("\n".join(lines))
    eventually(lambda: tail.received()[-1][1] == {"log": lines[-1]}, "the last line", 30)
    texts = [message["log"] for _, message in tail.received()]
    assert texts[texts.index(lines[0]) :] == lines


def test_canonical_json_is_the_same(peer: str) -> None:
    """1,000 generated values, byte for byte."""
    old, new = (
        subprocess.run(
            script(where, "values.py"),
            capture_output=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        ).stdout  # fmt: skip
        for where in (peer, OURS)
    )
    assert (len(old.splitlines()), old) == (1000, new)
