"""An IRC server, listeners and consumers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hubs import FakeHub
from irc_parts import OPEN, Listener, Ngircd, needs_ngircd
from parts import settings

pytest.importorskip("irc.client")


@pytest.fixture
def server(tmp_path: Path, address: Callable[[], str]) -> Iterator[Ngircd]:
    """A server that runs."""
    needs_ngircd()
    ngircd = Ngircd(tmp_path, int(address().rpartition(":")[2]))
    ngircd.start()
    yield ngircd
    ngircd.kill()


@pytest.fixture
def listen(server: Ngircd) -> Iterator[Callable[..., Listener]]:
    """A function that returns somebody who reads in a channel."""
    there: list[Listener] = []

    def come(channel: str = OPEN, nickname: str = "listener") -> Listener:
        there.append(Listener(server.port, channel, nickname))
        return there[-1]

    yield come
    for each in there:
        each.close()


@pytest.fixture
def bots() -> Iterator[Callable[..., Any]]:
    """A function that returns a consumer with a bot for each entry; it is ended afterwards."""
    made: list[Any] = []

    def make(*entries: dict[str, Any], **config: Any) -> Any:
        from fedmsg.consumers.ircbot import IRCBotConsumer

        consumer = IRCBotConsumer(FakeHub(**configuration(*entries, **config)))
        made.append(consumer)
        consumer.start_workers()
        return consumer

    yield make
    for each in made:
        each.stop()
        assert each.wait_stopped(time.monotonic() + 20) == 0
        assert not any(bot._thread.is_alive() for bot in each._bots)


def configuration(*entries: dict[str, Any], **config: Any) -> dict[str, Any]:
    """Return what a consumer needs, with quick bots."""
    usual = {"network": "127.0.0.1", "channel": OPEN, "nickname": "bot", "line_rate": 0.0}
    return {
        **settings(topic_prefix_re=r"org\.fedoraproject\.(dev|stg|prod)"),
        "fedmsg.consumers.ircbot.enabled": True, "irc": [{**usual, **each} for each in entries],
        "validate_signatures": False, **config,
    }  # fmt: skip
