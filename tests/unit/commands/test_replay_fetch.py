"""What ``fedmsg-dg-replay`` accepts from a server."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from fedmsg.commands import replay
from fedmsg.exceptions import FedmsgError

pytest.importorskip("requests")
pytest.importorskip("cryptography")


@pytest.fixture
def server(pki: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server that requests trusts, of https and of http."""
    from secure_server import Server

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pki.folder / "ca.crt"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server(pki)
    yield found
    found.close()


def test_answer(server: Any) -> None:
    """Status and body, over TLS."""
    server.pages["/id?id=x"] = "{}"
    assert replay.fetch(server.url, "x") == (200, b"{}")


def test_redirection_to_plain_text(server: Any) -> None:
    """Anybody on the way could put a message there that is then published under our name."""
    server.pages.update({"/id?id=x": 302, "/plain.pem": "{}"})
    with pytest.raises(FedmsgError, match="No connection adapters"):
        replay.fetch(server.url, "x")
    assert "/plain.pem" not in server.asked


def test_answer_that_unpacks_to_a_thousand_times_its_size(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read up to the limit, and no further, with every version of urllib3."""
    packed = gzip.compress(bytes(200 * 2**20), 1)

    class Bomb(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, *_arguments: Any) -> None:
            pass

    monkeypatch.setattr(server.plain, "RequestHandlerClass", Bomb)
    tracemalloc.start()
    try:
        with pytest.raises(FedmsgError, match="larger than"):
            replay.fetch(server.plain_url, "x")
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
