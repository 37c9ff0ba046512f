"""Replay services and clients of 1.1.7 and ours, together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedmsg.replay.client import missing, newest

pytestmark = [pytest.mark.peer, pytest.mark.timeout(180)]

SCRIPTS = Path(__file__).parent / "scripts"
OURS = os.path.dirname(sys.executable)


@pytest.fixture
def config(address: Callable[[], str]) -> dict[str, Any]:
    """A configuration that both versions understand."""
    return {
        "name": "me", "replay_endpoints": {"me": address()}, "io_threads": 1,
        "high_water_mark": 0, "endpoints": {}, "replay_timeout": 20,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """A function that starts a script with one of the two versions; returns its output's path."""
    started = []

    def start(where: str, name: str, config: dict[str, Any]) -> Path:
        path = tmp_path / f"{name}-{len(started)}.out"
        with open(path, "wb") as output:
            started.append(
                subprocess.Popen(
                    [os.path.join(where, "python"), str(SCRIPTS / name), json.dumps(config)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, "PYTHONWARNINGS": "ignore"},
                )  # fmt: skip
            )
        return path

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("server", "client"), [("old", "new"), ("new", "old")])
def test_service_and_client(
    peer: str, run: Callable[..., Path], config: dict[str, Any], eventually: Callable[..., Any],
    server: str, client: str,
) -> None:  # fmt: skip
    """A range, and a refusal: the answers are the same in both directions."""
    where = {"old": peer, "new": OURS}
    serving = run(where[server], "replay_serve.py", config)
    eventually(lambda: "serving" in serving.read_text(), "the service", 60)
    asked = run(where[client], "replay_get.py", config)
    eventually(lambda: asked.read_text().count("\n") >= 2, "the answers", 60)
    answer, refusal = map(json.loads, asked.read_text().splitlines())
    assert [message["seq_id"] for message in answer] == [2, 3, 4]
    assert answer[0]["msg"] == {"text": "grüße"}
    assert "error: 'Unsupported field'" in refusal


def test_gap_from_a_service_of_1_1_7(
    peer: str, run: Callable[..., Path], config: dict[str, Any], eventually: Callable[..., Any]
) -> None:
    """What is missing comes once, although 1.1.7 sends both ends; it does not tell its last one."""
    serving = run(peer, "replay_serve.py", config)
    eventually(lambda: "serving" in serving.read_text(), "the service", 60)
    assert [message["seq_id"] for message in missing("me", 1, 5, config)] == [2, 3, 4]
    assert newest("me", config) is None
