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


def test_killed_hub(begun: Any) -> None:
    """Started again it goes on where it was, in order; only a little is consumed twice."""
    chain, socket, base = begun("hub")
    send(socket, chain.lose(100))
    before = chain.wait_for("hub", base + 100)
    chain.position(base + 1)
    chain.kill("hub")
    send(socket, chain.lose(COUNT))
    running = chain.start("hub")
    running.says("goes on behind number")
    last = base + 100 + COUNT
    after = chain.all_until(last)[len(before) :]
    assert after == list(range(after[0], last + 1))
    assert base < after[0] <= base + 101
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


def test_server_that_is_away(begun: Any) -> None:
    """What a tail misses meanwhile is passed over, and comes when the server is back."""
    chain, socket, base = begun("tail", replay_timeout=0.5)
    chain.kill("replay-server")
    chain.lose(5)
    send(socket, chain.lose(1))
    found = chain.wait_for("tail", base + 6)
    assert found[-2:] == [base, base + 6]
    assert "is fedmsg-replay-server running" in chain.output("tail")
    chain.start("replay-server")
    assert chain.wait_for("tail", base + 5)[len(found) :] == list(range(base + 1, base + 6))
