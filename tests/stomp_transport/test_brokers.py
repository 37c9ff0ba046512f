"""Real brokers: what is published arrives, and what they refuse is reported."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from brokers import ActiveMQ, Node, RabbitMQ
from parts import Listening
from stomp_parts import configuration, secret, stomp_settings

from fedmsg.exceptions import BrokerRefused, NotConfirmed
from fedmsg.transports.stomp_rules import Tls

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

TEXT = "grüße \u2028 日本 \U0001f600"
#: What a topic may have in it that a broker could take for something else.
TOPICS = ["a.b", "a:c", "a/d", "a%41", "é.日本", "a b", "a\\c", "a#", "end"]


@pytest.fixture
def module() -> str:
    """A module that no other test publishes under."""
    return f"m{uuid.uuid4().hex}"


@pytest.fixture
def listening(
    make_context: Callable[..., Any], eventually: Callable[..., Any]
) -> Iterator[Callable[..., Listening]]:
    """A function that tails a module's topics at a broker, and waits until it hears them."""

    def start(port: int, module: str, **changes: Any) -> Listening:
        context = make_context(**configuration(port, mute=True, **changes))
        found = Listening(context.tail_messages(topic=f"org.fedoraproject.dev.{module}."))
        (tailing,) = context._tails
        eventually(lambda: tailing.subscriber is not None)
        assert tailing.subscriber.wait_subscribed(30)
        return found

    yield start


def test_there_and_back(
    broker: Node, make_context: Callable[..., Any], listening: Callable[..., Any], module: str
) -> None:
    """Every subscriber gets every message, with its topic and text as they were."""
    ears = [listening(broker.port, module) for _ in range(2)]
    context = make_context(**configuration(broker.port))
    for topic in TOPICS:
        context.publish(topic=topic, msg={"text": TEXT, "topic": topic}, modname=module)
    assert context.flush(20) == 0
    for ear in ears:
        heard = ear.over()
        assert [topic for _, _, topic, _ in heard] == [
            f"org.fedoraproject.dev.{module}.{topic}" for topic in TOPICS
        ]
        assert [message["msg"] for *_, message in heard] == [
            {"text": TEXT, "topic": topic} for topic in TOPICS
        ]
        assert heard[0][:2] == ("stomp", broker.uri)


@pytest.mark.parametrize("mode", ["auto", "client-individual"])
def test_large_messages(
    broker: Node, make_context: Callable[..., Any], listening: Callable[..., Any], module: str,
    mode: str,
) -> None:  # fmt: skip
    """A body of 5 MB arrives as it was."""
    ear = listening(broker.port, module, stomp_ack_mode=mode)
    context = make_context(**configuration(broker.port))
    large = TEXT + "x" * 5_000_000
    context.publish(topic="large", msg={"text": large}, modname=module)
    context.publish(topic="end", msg={}, modname=module)
    assert context.flush(30) == 0
    assert ear.over()[0][3]["msg"]["text"] == large


def test_wrong_password(broker: Node, make_context: Callable[..., Any]) -> None:
    """A login that the broker does not accept is an error of publish, without the password."""
    config = configuration(broker.port, stomp_pass="sesame")
    context = make_context(**config)
    with pytest.raises(BrokerRefused, match=f"(?i){broker.uri}.*(refused|invalid)") as caught:
        context.publish(topic="a", msg={}, modname="t")
    assert "sesame" not in str(caught.value)
    with pytest.raises(BrokerRefused):
        next(make_context(**{**config, "mute": True}).tail_messages())


def test_unknown_vhost(rabbitmq: RabbitMQ, make_context: Callable[..., Any]) -> None:
    """A virtual host that does not exist is an error of publish."""
    context = make_context(**configuration(rabbitmq.port, stomp_vhost="nowhere"))
    with pytest.raises(BrokerRefused, match="nowhere"):
        context.publish(topic="a", msg={}, modname="t")


def test_unwritable_destination(broker: Node, stomp_publisher: Callable[..., Any]) -> None:
    """A destination that we may not write to is an error that names it."""
    settings = stomp_settings(broker.port, user="reader", password=secret("reader"))
    publisher = stomp_publisher(settings)
    publisher.send(b"org.a", b"{}", "1")
    with pytest.raises(BrokerRefused, match="(?i)refused|not authorized") as caught:
        while publisher.flush(30):
            pass
    assert caught.value.destination == "/topic/org.a"
    assert publisher.undelivered == 1


def test_durable_subscription(
    broker: Node, make_context: Callable[..., Any], listening: Callable[..., Any], module: str
) -> None:
    """With the headers that the manual prints, messages wait for a subscriber that is away."""
    headers = {
        "rabbitmq": {"durable": "true", "auto-delete": "false", "x-queue-name": module},
        "activemq": {"client-id": module, "activemq.subscriptionName": module},
    }[broker.program]
    changes = {"stomp_subscribe_headers": headers, "stomp_ack_mode": "client-individual"}
    context = make_context(**configuration(broker.port))
    first = listening(broker.port, module, **changes)
    context.publish(topic="first.end", msg={}, modname=module)
    assert len(first.over()) == 1
    for topic in ("missed", "missed.end"):
        context.publish(topic=topic, msg={}, modname=module)
    assert context.flush(20) == 0
    heard = listening(broker.port, module, **changes).over()
    assert [topic.partition(module)[2] for _, _, topic, _ in heard] == [".missed", ".missed.end"]


def test_unacknowledged_messages_come_again(
    broker: Node, stomp_publisher: Callable[..., Any], stomp_subscriber: Callable[..., Any],
    module: str,
) -> None:  # fmt: skip
    """A delivery that nobody answered goes to the next subscriber of the queue."""
    settings, queue = stomp_settings(broker.port), f"/queue/{module}"
    publisher = stomp_publisher(settings)
    for name in ("answered", "unanswered"):
        publisher.send(queue.encode(), name.encode(), name)
    assert publisher.flush(20) == 0
    for expected in (["answered", "unanswered"], ["unanswered"]):
        subscriber = stomp_subscriber(settings, [], queue=queue, ack_mode="client-individual")
        deliveries = subscriber.deliveries()
        found = [next(deliveries) for _ in expected]
        assert [each.body.decode() for each in found] == expected
        found[0].ack()
        deliveries.close()


def test_encrypted(
    rabbitmq: RabbitMQ, certificates: Path, stomp_publisher: Callable[..., Any]
) -> None:
    """RabbitMQ is spoken to with TLS, our certificate, and its own name checked."""
    tls = Tls(
        str(certificates / "ca.pem"), str(certificates / "client.pem"),
        str(certificates / "client.key"),
    )  # fmt: skip
    settings = stomp_settings(1, tls=tls)._replace(brokers=(("localhost", rabbitmq.tls_port),))
    publisher = stomp_publisher(settings)
    for number in range(500):
        publisher.send(b"org.a", b"x" * 1000, str(number))
    assert publisher.flush(20) == 0
    other_name = settings._replace(brokers=(("127.0.0.1", rabbitmq.tls_port),))
    with pytest.raises(BrokerRefused, match="(?i)mismatch"):
        stomp_publisher(other_name).send(b"org.a", b"{}", "1")


def test_full_disk(
    rabbitmq: RabbitMQ, stomp_publisher: Callable[..., Any], eventually: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A broker whose disk is full blocks: publish fails in time, and all arrives afterwards."""
    rabbitmq.control("set_disk_free_limit", "999GB")
    try:
        eventually(lambda: "disk resource limit alarm set" in rabbitmq.log(), timeout=60)
        settings = stomp_settings(rabbitmq.port, window=50, heartbeat=1000, timeout=0.5)
        publisher = stomp_publisher(settings, timeout=3.0)
        with pytest.raises(NotConfirmed, match="^50 messages"):
            for number in range(500):  # it lets some through before it blocks
                publisher.send(b"org.a", b"x" * 200_000, str(number))
        assert publisher.flush(0.1) == 50
    finally:
        rabbitmq.control("set_disk_free_limit", "1MB")
    assert publisher.flush(30) == 0
    assert publisher.undelivered == 0
    # It was seen to be alive all the time.
    assert "connecting again" not in caplog.text


@pytest.mark.parametrize("kind", ["rabbitmq", "activemq"])
def test_fail_over(
    kind: str, request: pytest.FixtureRequest, stomp_publisher: Callable[..., Any],
    stomp_subscriber: Callable[..., Any], module: str,
) -> None:  # fmt: skip
    """A broker is killed: publisher and subscriber go on at the other."""
    second: RabbitMQ | ActiveMQ = request.getfixturevalue(kind)
    first: RabbitMQ | ActiveMQ = request.getfixturevalue(f"other_{kind}")
    settings = stomp_settings(first.port, second.port)
    publisher = stomp_publisher(settings)
    subscriber = stomp_subscriber(settings, [f"{module}."])
    assert subscriber.wait_subscribed(30)
    publisher.send(f"{module}.a".encode(), b"{}", "1")
    deliveries = subscriber.deliveries()
    assert next(deliveries).endpoint == first.uri
    first.kill()
    session = subscriber._session
    with session.condition:
        assert session.condition.wait_for(
            lambda: session.endpoint == second.uri and not session._missing, 30
        )
    publisher.send(f"{module}.b".encode(), b"{}", "2")
    assert publisher.flush(30) == 0
    delivery = next(deliveries)
    assert (delivery.topic, delivery.endpoint) == (f"{module}.b", second.uri)
    deliveries.close()
