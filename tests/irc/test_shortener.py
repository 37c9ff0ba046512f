"""Short links: whatever the service does, the line is said (consumers.md 10)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from fedmsg.consumers import ircbot

LONG = "http://long.example.com/?a=1&b=2"


class Service(BaseHTTPRequestHandler):
    """Answers with what the server of the test says."""

    def do_GET(self) -> None:
        """Answer one request."""
        server: Any = self.server
        server.asked.append(parse_qs(urlsplit(self.path).query))
        status, body = server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The service, on this machine."""
    pytest.importorskip("requests")
    server: Any = HTTPServer(("127.0.0.1", 0), Service)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setattr(ircbot, "_SHORTENER", f"http://127.0.0.1:{server.server_port}/s")
    yield server
    server.shutdown()
    thread.join(20)
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "link"),
    [
        ((200, b" http://s\n"), "http://s"),
        ((200, b"x" * 1000), "x" * 200),
        ((200, b""), LONG),
        ((500, b"http://s"), LONG),
    ],
)
def test_answers(service: Any, answer: tuple[int, bytes], link: str) -> None:
    """Its text, if it has one; the long address with any error."""
    service.answer = answer
    assert ircbot._default_link_shortener(LONG) == link
    assert service.asked == [{"url": [LONG]}]


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch, port: Any) -> None:
    """The long address."""
    monkeypatch.setattr(ircbot, "_SHORTENER", f"http://127.0.0.1:{port()}/s")
    assert ircbot._default_link_shortener(LONG) == LONG


def test_no_answer_in_time(service: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for longer than a moment."""
    hung = threading.Event()
    monkeypatch.setattr(Service, "do_GET", lambda self: hung.wait(20) and None)
    monkeypatch.setattr(ircbot, "_SHORTENER_SECONDS", 0.05)
    try:
        assert ircbot._default_link_shortener(LONG) == LONG
    finally:
        hung.set()
