"""Encryption: verified unless told otherwise, and as quick to notice an end as plain text."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from certificates import Authority
from stomp_parts import FakeBroker, Peer, good, stomp_settings

from fedmsg.exceptions import BrokerRefused
from fedmsg.transports import stomp
from fedmsg.transports.stomp_rules import Tls

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that brokers are certified by."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def tls_peer(peer: Callable[..., FakeBroker]) -> Iterator[Callable[..., FakeBroker]]:
    """A function that starts a broker that speaks TLS with a certificate."""

    def start(
        certificate: tuple[Path, Path], behaviour: Callable[[Peer], None] = good,
        clients: Path | None = None,
    ) -> FakeBroker:  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        if clients:
            context.load_verify_locations(clients)
            context.verify_mode = ssl.CERT_REQUIRED

        def encrypted(peer: Peer) -> None:
            with contextlib.suppress(OSError):
                peer.socket = context.wrap_socket(peer.socket, server_side=True)
                behaviour(peer)
                with contextlib.suppress(OSError):
                    peer.socket.unwrap()
            peer.socket.close()

        return peer(encrypted)

    yield start


def settings(broker: FakeBroker, host: str = "localhost", **tls: Any) -> Any:
    """Return settings of an encrypted connection."""
    brokers = ((host, broker.port),)
    return stomp_settings(broker.port)._replace(brokers=brokers, tls=Tls(**tls), heartbeat=0)


def test_verified(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any], authority: Authority
) -> None:
    """With the right authority and host messages of all sizes arrive, both ways at a time."""
    broker = tls_peer(authority.certify("server", ["localhost"]))
    publisher = stomp_publisher(settings(broker, ca=str(authority.file)))
    bodies = [b"x" * size for size in (2, 5_000_000, 16_384, 16_385)] + [b"y" * 3000] * 500
    for number, body in enumerate(bodies):
        publisher.send(b"org.a", body, str(number))
    assert publisher.flush(30) == 0
    assert [body for _, _, body in broker.sent()] == bodies


def test_by_address(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any], authority: Authority
) -> None:
    """A host given as an address is compared with the addresses of the certificate."""
    broker = tls_peer(authority.certify("address", ["127.0.0.1"]))
    publisher = stomp_publisher(settings(broker, "127.0.0.1", ca=str(authority.file)))
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(10) == 0


@pytest.mark.parametrize(
    ("names", "days", "trusted", "reason"),
    [
        (["localhost"], 1, "another", "unable to get|self.signed"),
        (["elsewhere.example"], 1, "ours", "mismatch"),
        (["localhost"], -1, "ours", "expired"),
        (["localhost"], 1, "the system", "unable to get|self.signed"),
    ],
)
def test_not_acceptable(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any],
    authority: Authority, tmp_path: Path, names: list[str], days: int, trusted: str, reason: str,
) -> None:  # fmt: skip
    """Wrong authority, wrong host, expired: nothing is sent, and publishing is an error."""
    broker = tls_peer(authority.certify(f"bad-{names}-{days}-{trusted}", names, days))
    other = {"another": Authority(tmp_path).file, "ours": authority.file, "the system": ""}
    publisher = stomp_publisher(settings(broker, ca=str(other[trusted])))
    with pytest.raises(BrokerRefused, match=f"(?i)certificate.*({reason})"):
        publisher.send(b"org.a", b"{}", "1")
    assert broker.frames == []


def test_verification_switched_off(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any], authority: Authority
) -> None:
    """Only the option for it makes us talk to a broker that nobody knows."""
    broker = tls_peer(authority.certify("stranger", ["elsewhere.example"]))
    publisher = stomp_publisher(settings(broker, verify=False))
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(10) == 0


def test_client_certificate(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any], authority: Authority
) -> None:
    """A broker that wants to know who we are is shown our certificate."""
    server = authority.certify("strict", ["localhost"])
    broker = tls_peer(server, clients=authority.file)
    certificate, key = map(str, authority.certify("client", ["client"]))
    known = settings(broker, ca=str(authority.file), certificate=certificate, key=key)
    publisher = stomp_publisher(known)
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(10) == 0


def test_clean_close_is_noticed(
    tls_peer: Callable[..., FakeBroker], stomp_publisher: Callable[..., Any], authority: Authority
) -> None:
    """A broker that closes is noticed at once, without heart-beats; stomp.py 9.0 would not."""

    def leaving(peer: Peer) -> None:
        peer.accept()
        if peer.broker.connections > 1:
            peer.confirm()
        else:
            peer.read()

    broker = tls_peer(authority.certify("leaving", ["localhost"]), leaving)
    publisher = stomp_publisher(settings(broker, ca=str(authority.file)))
    publisher.send(b"org.a", b"{}", "1")
    assert publisher.flush(15) == 0
    assert broker.connections == 2


def test_no_fall_back_to_plain_text(
    stomp_publisher: Callable[..., Any], peer: Callable[..., FakeBroker], authority: Authority
) -> None:
    """A broker without TLS gets nothing but the beginning of a handshake."""
    received: list[bytes] = []

    def plain(peer: Peer) -> None:
        while data := peer.socket.recv(65536):
            received.append(data)

    broker = peer(plain)
    publisher = stomp_publisher(settings(broker, ca=str(authority.file))._replace(timeout=0.2))
    publisher.send(b"org.a", b"sesame", "1")
    assert publisher.flush(0.3) == 1
    assert received and all(data[:1] == b"\x16" for data in received)
    assert not any(b"CONNECT" in data or b"sesame" in data for data in received)


def test_ended_while_the_socket_is_wrapped(
    tls_peer: Callable[..., FakeBroker], authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that comes when the old socket is no more and the new one not known yet counts."""
    broker = tls_peer(authority.certify("server", ["localhost"]))
    chosen = settings(broker, ca=str(authority.file))
    connection = stomp.Connection(chosen, chosen.brokers[0], lambda *frame: None)
    wrapped = []

    def wrap(raw: Any, **keywords: Any) -> Any:
        wrapped.append(context.wrap_socket(raw, **keywords))
        connection.abort()
        return wrapped[0]

    context = stomp.tls_context(chosen.tls)
    ending = SimpleNamespace(wrap_socket=wrap)
    monkeypatch.setattr("fedmsg.transports.stomp.tls_context", lambda tls: ending)
    with pytest.raises(ConnectionAbortedError, match="closed by this side"):
        connection.open()
    assert wrapped[0].fileno() == -1
