"""The consumers that are shipped, as plug-ins (consumers.md 9)."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import zmq
from hubs import FakeHub

from fedmsg.consumers.dummy import DummyConsumer
from fedmsg.consumers.gateway import GatewayConsumer
from fedmsg.consumers.message import BusMessage
from fedmsg.consumers.relay import RelayConsumer, SigningRelayConsumer

RELAY = {"fedmsg.consumers.relay.enabled": True, "moksha.blocking_mode": True}
GATEWAY = "fedmsg.consumers.gateway"


def test_relay_sends_on() -> None:
    """With exactly these keywords, unchecked."""
    consumer = RelayConsumer(hub := FakeHub(**RELAY))
    hub.send_message = mock.Mock()  # type: ignore[attr-defined]
    hub.deliver("t", '{"topic": "t", "a": 1}')
    hub.send_message.assert_called_once_with(topic="t", message={"topic": "t", "a": 1})  # type: ignore[attr-defined]
    assert (consumer.topic, consumer.validate_signatures) == ("*", False)


def test_signing_relay_signs() -> None:
    """What is relayed is what ``sign`` made of it; the certificate is the relay's."""
    hub = FakeHub(**RELAY, certnames={"signing_relay": "mine"})
    SigningRelayConsumer(hub)
    hub.send_message = mock.Mock()  # type: ignore[attr-defined]
    with mock.patch("fedmsg.consumers.relay.crypto.sign", return_value={"signed": 1}) as sign:
        hub.deliver("t", '{"topic": "t"}')
    sign.assert_called_once_with({"topic": "t"}, **hub.config)
    hub.send_message.assert_called_once_with(topic="t", message={"signed": 1})  # type: ignore[attr-defined]
    assert hub.config["certname"] == "mine"


@pytest.mark.parametrize("certnames", [{}, {"certnames": None}, {"certnames": {}}])
def test_signing_relay_without_certificate(certnames: dict[str, Any]) -> None:
    """Logged once; the construction succeeds."""
    with mock.patch("fedmsg.consumers.relay.log") as log:
        SigningRelayConsumer(FakeHub(**RELAY, **certnames))
    log.error.assert_called_once_with(
        'The signing relay requires that the certificate name is in the "certnames" dictionary'
        ' using the "signing_relay" key'
    )


def test_nothing_leaves_unsigned() -> None:
    """What cannot be signed is not sent (CD-18)."""
    hub = FakeHub(**RELAY)
    SigningRelayConsumer(hub)
    hub.send_message = mock.Mock()  # type: ignore[attr-defined]
    with mock.patch("fedmsg.consumers.relay.crypto.sign", side_effect=ValueError):
        assert hub.deliver("t", '{"topic": "t"}') is False
    assert not hub.send_message.called  # type: ignore[attr-defined]


def gateway(port: int, **changes: Any) -> dict[str, Any]:
    """Return the configuration of a gateway."""
    return {f"{GATEWAY}.enabled": True, f"{GATEWAY}.port": port, f"{GATEWAY}.high_water_mark": 100,
            **changes}  # fmt: skip


@pytest.mark.parametrize("blocking", [False, True])
def test_gateway_passes_bytes(
    port: Callable[[], int], subscriber: Callable[..., Any], eventually: Callable[..., Any],
    blocking: bool,
) -> None:  # fmt: skip
    """Topic and body as they came; what is queued at the stop leaves before the socket closes."""
    number = port()
    consumer = GatewayConsumer(
        hub := FakeHub(**gateway(number, **{"moksha.blocking_mode": blocking}))
    )
    assert consumer.port == number
    body = '{ "topic" :"é",   "b":1,"a":2 }'
    sub = subscriber(f"tcp://127.0.0.1:{number}")
    consumer.start_workers()
    eventually(lambda: [hub.deliver("é", body), sub.socket.poll(10)][1])
    assert sub.receive() == ["é".encode(), body.encode()]
    hub.deliver("end", "1")
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0
    assert (consumer.gateway_socket, hub.subscribed[0][0]) == (None, "*")
    while sub.receive() != [b"end", b"1"]:
        pass
    consumer.destroy()


@pytest.mark.parametrize("key", ["port", "high_water_mark"])
def test_gateway_needs_its_keys(port: Callable[[], int], key: str) -> None:
    """KeyError."""
    config = gateway(port())
    del config[f"{GATEWAY}.{key}"]
    with pytest.raises(KeyError, match=key):
        GatewayConsumer(FakeHub(**config))


def test_gateway_port_in_use(port: Callable[[], int], zmq_context: zmq.Context[Any]) -> None:
    """An error at the start (CD-19)."""
    taken = zmq_context.socket(zmq.PUB)
    taken.bind(f"tcp://*:{(number := port())}")
    with pytest.raises(zmq.ZMQError, match="in use"):
        GatewayConsumer(FakeHub(**gateway(number)))


def test_gateway_that_fails_later_frees_its_port(
    port: Callable[[], int], zmq_context: zmq.Context[Any]
) -> None:
    """Another setting is wrong."""
    number = port()
    with pytest.raises(ValueError, match="workers"):
        GatewayConsumer(FakeHub(**gateway(number, **{"moksha.workers_per_consumer": 0})))
    zmq_context.socket(zmq.PUB).bind(f"tcp://*:{number}")


def test_disabled_gateway_binds_nothing() -> None:
    """It needs no key either, and stops."""
    consumer = GatewayConsumer(FakeHub())
    consumer.stop()
    assert consumer.gateway_socket is None


def test_dummy_logs(caplog: pytest.LogCaptureFixture) -> None:
    """Each message, at debug level; its topic is that of the bus."""
    caplog.set_level(logging.DEBUG, "fedmsg.consumers.dummy")
    hub = FakeHub(
        **{"fedmsg.consumers.dummy.enabled": True, "moksha.blocking_mode": True,
           "validate_signatures": False, "topic_prefix": "com.x"}
    )  # fmt: skip
    DummyConsumer(hub)
    hub.deliver("com.x.y", '{"a": 1}')
    assert (hub.subscribed[0][0], "'a': 1" in caplog.text) == ("com.x*", True)


def test_message_objects() -> None:
    """Of a broker they have headers."""
    message = BusMessage("t", "{}", {"h": "1"})
    assert message.__json__() == {"topic": "t", "body": "{}", "headers": {"h": "1"}}
    assert json.loads(message.get("body")) == {}
    assert message.get("none", 5) == 5
