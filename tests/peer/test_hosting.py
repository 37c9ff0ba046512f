"""Plug-ins written for the released moksha.hub, unchanged, under our hub."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peer_parts import Program, script

pytestmark = [pytest.mark.peer, pytest.mark.timeout(120)]


@pytest.fixture
def hosted(
    peer: str, start: Callable[..., Program], address: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Program]:  # fmt: skip
    """A function that starts plug-ins in the environment that has moksha.hub, with our fedmsg."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def run(end: str, count: int = 1) -> Program:
        return start(*script(peer, "hosted.py"), address(), end, str(count))

    return run


def said(program: Program, word: str) -> list[list[Any]]:
    """Return the lines of the plug-ins that begin with a word."""
    lines = [json.loads(line) for line in program.output.splitlines() if line.startswith("[")]
    return [line[1:] for line in lines if line[0] == word]


def test_consumers_and_producers_run(
    hosted: Callable[..., Program], eventually: Callable[..., Any]
) -> None:
    """A dozen consumers get what a producer sends; the reactor is in the main thread.

    On the reactor's default pool only ten of them would have a thread.
    """
    program = hosted("signal", count=12)
    eventually(lambda: len({line[0] for line in said(program, "consumed")}) == 12, "all", 60)
    assert said(program, "consumed")[0][1:] == ["org.x.tick", {"topic": "org.x.tick", "msg": {}}]
    assert (said(program, "adopted")[0], said(program, "later")) == ([True], [[True]])
    os.kill(program.process.pid, signal.SIGTERM)
    assert (program.process.wait(30), said(program, "ended")) == (0, [[True]])


def test_stopping_the_reactor_stops_the_hub(
    hosted: Callable[..., Program],
) -> None:
    """As plug-ins do that end the daemon by themselves; its status is 0."""
    program = hosted("plug-in")
    assert program.process.wait(60) == 0, program.output
    assert (said(program, "consumed")[-1][1], said(program, "ended")) == ("org.x.end", [[True]])
