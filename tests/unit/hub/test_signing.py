"""What the signing relay does to a message, and when it refuses to start."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("cryptography", reason="pip install '.[crypto]'")

from pki import Pki, message

from fedmsg import crypto, encoding
from fedmsg.consumers.relay import SigningRelayConsumer
from fedmsg.exceptions import ConfigurationError, FrameError
from fedmsg.hub import relay
from fedmsg.hub.signing import signer


def settings(pki: Pki, **changes: Any) -> dict[str, Any]:
    """Return the configuration of a signing relay."""
    return {**pki.config, "certnames": {"signing_relay": "leaf"}, **changes}


def test_message_is_signed(pki: Pki) -> None:
    """The topic frame is left alone, and the signature is the relay's."""
    sign = signer(settings(pki))
    topic, body = sign([b"org.x", encoding.dumps(message()).encode()])
    verdict = crypto.check(json.loads(body), **pki.config)
    assert (topic, verdict) == (b"org.x", crypto.Verdict(True, "leaf"))


def test_old_signature_is_replaced(pki: Pki) -> None:
    """That of a publisher does not stay in what the relay signs."""
    foreign = crypto.sign(message(), **pki.config)
    pki.install(pki.ca.issue("relay"), "relay")
    sign = signer(settings(pki, certnames={"signing_relay": "relay"}))
    _, body = sign([b"t", encoding.dumps(foreign).encode()])
    assert crypto.check(json.loads(body), **pki.config) == crypto.Verdict(True, "relay")


@pytest.mark.parametrize(
    "frames", [[b"t"], [b"t", b"[]"], [b"t", b"no json"], [b"t", b"{}", b"x"], [b"t", b"\xff"]]
)
def test_what_is_no_message_is_not_signed(pki: Pki, frames: list[bytes]) -> None:
    """It raises, and so the forwarder drops it."""
    with pytest.raises(FrameError):
        signer(settings(pki))(frames)


def test_certificate_must_be_named(pki: Pki) -> None:
    """The error shows what to write."""
    with pytest.raises(ConfigurationError, match="certnames = {'signing_relay'"):
        signer(settings(pki, certnames={}))


def test_key_must_be_there(pki: Pki) -> None:
    """A relay that could sign nothing does not start."""
    (pki.folder / "leaf.key").unlink()
    with pytest.raises(ConfigurationError, match=r"cannot sign: .*leaf\.key"):
        signer(settings(pki))


class Hub:
    """Records what consumers do."""

    def __init__(self, **config: Any) -> None:
        self.config = {"moksha.blocking_mode": True, **config}
        self.sent: list[Any] = []

    def subscribe(self, topic: str, callback: Any) -> None:
        """Nobody listens."""

    def send_message(self, **kw: Any) -> None:
        """Remember a message."""
        self.sent.append(kw)


def test_consumer_signs_and_sends(pki: Pki) -> None:
    """For a hub of somebody's own: the class does by itself what the daemon does."""
    hub = Hub(**settings(pki), **{"fedmsg.consumers.relay.enabled": True})
    SigningRelayConsumer(hub).consume({"topic": "t", "body": message()})
    assert crypto.validate(hub.sent[0]["message"], **pki.config)


def test_consumer_without_certificate_says_so(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    """Once, at error; the construction succeeds."""
    hub = Hub(**settings(pki, certnames={}), **{"fedmsg.consumers.relay.enabled": True})
    assert SigningRelayConsumer(hub)._initialized
    assert (
        caplog.messages.count(
            "The signing relay requires that the certificate name is in the "
            '"certnames" dictionary using the "signing_relay" key'
        )
        == 1
    )


def test_daemon_takes_the_class_as_it_is() -> None:
    """It passes frames on; a subclass that overrides consume needs the hub."""

    class Own(SigningRelayConsumer):
        """Does something of its own."""

        def consume(self, msg: Any) -> None:
            """Do it."""

    assert (relay.is_plain(SigningRelayConsumer), relay.is_plain(Own)) == (True, False)
