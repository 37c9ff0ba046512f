"""A store behind a relay: who was cut off gets everything, be it a tail or a consumer of a hub."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")

COUNT = 10_000


def send(socket: Any, messages: list[dict[str, Any]]) -> None:
    """Have messages pass the relay."""
    for each in messages:
        socket.send_multipart([each["topic"].encode(), json.dumps(each).encode()])


@pytest.mark.parametrize("name", ["tail", "hub"])
def test_stopped_subscriber(begun: Any, name: str) -> None:
    """Standing still, cut off for 10,000 messages by a relay that dies: all, in order, once."""
    chain, socket, base = begun(name)
    send(socket, chain.lose(100))
    chain.wait_for(name, base + 100)
    chain.signal(name, signal.SIGSTOP)
    chain.kill("relay")
    chain.lose(COUNT)
    chain.start("relay")
    chain.signal(name, signal.SIGCONT)
    send(socket, chain.lose(2))
    found = chain.wait_for(name, base + COUNT + 102)
    assert found == list(range(found[0], base + COUNT + 103))


@pytest.mark.parametrize("workers", [1, 3])
def test_killed_hub(begun: Any, workers: int) -> None:
    """Started again it goes on where it was; a little is consumed twice, and nothing never."""
    chain, socket, base = begun("hub", **{"moksha.workers_per_consumer": workers})
    send(socket, chain.lose(100))
    before = chain.wait_for("hub", base + 100)
    chain.position(base + 1)
    chain.kill("hub")
    send(socket, chain.lose(COUNT))
    running = chain.start("hub")
    running.says("goes on behind number")
    last = base + 100 + COUNT
    after = chain.all_until(last)[len(before) :]
    assert sorted(after) == list(range(min(after), last + 1))
    assert after == sorted(after) or workers > 1
    assert base < min(after) <= base + 101
    assert running.stop() == 0


def test_hub_that_ends_and_begins(begun: Any) -> None:
    """After a clean end nothing is consumed twice."""
    chain, socket, base = begun("hub")
    send(socket, chain.lose(500))
    chain.wait_for("hub", base + 20)
    assert chain.end("hub") == 0
    chain.lose(500)
    chain.start("hub")
    found = chain.wait_for("hub", base + 1000)
    assert found == list(range(found[0], base + 1001))


@pytest.mark.parametrize("name", ["tail", "hub"])
def test_server_that_is_away(begun: Any, name: str) -> None:
    """What is missed meanwhile is passed over, and comes when the server is back."""
    chain, socket, base = begun(name, replay_timeout=0.5)
    chain.kill("replay-server")
    chain.lose(5)
    send(socket, chain.lose(1))
    found = chain.wait_for(name, base + 6)
    assert found[-2:] == [base, base + 6]
    assert "is fedmsg-replay-server running" in chain.output(name)
    chain.start("replay-server")
    assert chain.wait_for(name, base + 5)[len(found) :] == list(range(base + 1, base + 6))
