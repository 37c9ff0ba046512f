"""An IRC server, listeners and consumers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hubs import FakeHub
from irc_parts import OPEN, Listener, Ngircd, configuration, needs_library, needs_ngircd


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library irc, without which no bot can be made; and bots that look often."""
    needs_library()
    from fedmsg.consumers import irc_client

    monkeypatch.setattr(irc_client, "_LOOK", 0.01)


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


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A listening socket: a server that speaks no IRC."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        yield listening


@pytest.fixture
def words() -> Iterator[None]:
    """Words of a processor for every message."""
    with (
        mock.patch("fedmsg.meta.msg2title", lambda msg, **_: "logger.log"),
        mock.patch("fedmsg.meta.msg2subtitle", lambda msg, **_: msg["msg"]["log"]),
        mock.patch("fedmsg.meta.msg2link", lambda msg, **_: "http://long"),
    ):
        yield
