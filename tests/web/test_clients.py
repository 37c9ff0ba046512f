"""Clients of the page that mean no good, or send nothing."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedmsg.web import server

Served = Callable[..., Any]
Eventually = Callable[..., Any]


@contextlib.contextmanager
def connections(page: Any, count: int, sends: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections, one after another, on which no complete request is sent."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(count):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", page.port), 20))
            sock.sendall(sends)
            opened.append(sock)
        yield opened


def has_ended(sock: socket.socket) -> bool:
    """Return whether the other side has closed a connection."""
    sock.settimeout(0.05)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        pass
    return True


@pytest.mark.parametrize(
    "sends",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT"],
    ids=["nothing", "half", "one and a half"],
)
def test_no_request_no_connection(
    served: Served, eventually: Eventually, monkeypatch: pytest.MonkeyPatch, sends: bytes
) -> None:
    """Who does not send a request is disconnected after a while; whoever looks stays."""
    page = served()
    events = page.events()
    events.next("state")
    monkeypatch.setattr(server, "_IDLE", 0.4)
    with connections(page, 3, sends) as opened:
        for each in opened:
            eventually(lambda each=each: has_ended(each))
    for _ in range(2):
        events.next("state")


def test_many_connections(
    served: Served, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest of those without a request make room; everybody else is served."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 20)
    page = served()
    events = page.events()
    with connections(page, 60) as opened:
        assert page.get("/")[0] == 200
        eventually(lambda: all(has_ended(each) for each in opened[:40]))
        events.next("state")
        assert not has_ended(opened[-1])


def test_more_streams_than_connections(
    served: Served, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where everybody is being answered, nobody has to go for one more."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 3)
    page = served()
    streams = [page.events() for _ in range(3)]
    with connections(page, 1) as [last]:
        eventually(lambda: has_ended(last))
    for each in streams:
        each.next("state")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://evil.example", 403), ("null", 403), ("", 403), ("http://localhost.evil", 403),
        ("http://localhost:1234", 200), ("https://bus.example.com", 200),
    ],
)  # fmt: skip
def test_origin(served: Served, origin: str, status: int) -> None:
    """A script of another site gets nothing, from browsers too that say nothing but its origin."""
    page = served(hosts=["bus.example.com"])
    for path in ("/", "/messages/x", "/events?text=" + "x" * 201):
        expected = 400 if status == 200 and "events" in path else status
        assert page.get(path, Origin=origin)[0] == expected


@pytest.mark.parametrize(
    "path",
    [
        "//evil.example/events", "/../../etc/passwd", "/%2e%2e/app.py", "/messages/a%2f..%2fb",
        "/static/page.js", "/app.py", "/\\evil.example", "/messages/",
    ],
)  # fmt: skip
def test_path_tricks(served: Served, path: str) -> None:
    """What is not there is not found, and leads nowhere."""
    status, _, headers = served().get(path)
    assert status == 404
    assert "location" not in headers


def test_same_id_again_and_again(served: Served, eventually: Eventually) -> None:
    """An id that everybody uses is not a way to a page of any size."""
    page = served(web_rate=10**6, web_kept=100)
    for number in range(50):
        page.send("t", msg=number, msg_id="same")
    eventually(lambda: len(page.kept()) == 50)
    found = [each for each in page.kept() if each["key"] == "same"]
    assert len(found) == 50
    assert len(page.window.find("same")) == 20
