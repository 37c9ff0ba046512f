"""Connections on which nothing is asked for."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedmsg.web import server


@pytest.fixture
def open_raw() -> Iterator[Callable[[int], socket.socket]]:
    """A function that connects to a port, and says nothing."""
    with contextlib.ExitStack() as stack:
        yield lambda port: stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))


def is_ended(connection: socket.socket) -> bool:
    """Whether the server has ended a connection; waits for it."""
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


def test_they_make_room(
    served: Callable[..., Any], open_raw: Callable[[int], socket.socket], monkeypatch: Any
) -> None:
    """More of them than may be open: the oldest are ended, and the page is served."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 3)
    page = served()
    silent = [open_raw(page.port) for _ in range(5)]
    assert all(is_ended(each) for each in silent[:2])
    assert page.get("/")[0] == 200


def test_streams_stay(
    served: Callable[..., Any], open_raw: Callable[[int], socket.socket], monkeypatch: Any
) -> None:
    """Who has asked for something is not ended to make room."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    page = served()
    events = page.events()
    events.next("state")
    silent = [open_raw(page.port) for _ in range(3)]
    assert all(is_ended(each) for each in silent[:2])
    page.send("t")
    assert len(events.messages(1)) == 1


def test_they_have_an_end(
    served: Callable[..., Any], open_raw: Callable[[int], socket.socket], monkeypatch: Any
) -> None:
    """Half a request is none; a stream lasts."""
    monkeypatch.setattr(server, "_SILENT", 0.1)
    page = served()
    events = page.events()
    events.next("state")
    connection = open_raw(page.port)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: local")
    assert is_ended(connection)
    page.send("t")
    assert len(events.messages(1)) == 1
