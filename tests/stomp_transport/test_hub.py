"""The hub on real brokers: consumed, answered afterwards, delivered again if not."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from brokers import Node
from stomp_parts import configuration

from fedmsg.consumers import FedmsgConsumer
from fedmsg.hub.central import Hub

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]


class Working(FedmsgConsumer):
    """Keeps what it gets, once it may."""

    config_key = "working"
    validate_signatures = False

    def __init__(self, hub: Any) -> None:
        self.topic = hub.config["topic"]
        self.got: list[Any] = []
        self.begun, self.go = threading.Event(), threading.Event()
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Take one message."""
        self.begun.set()
        assert self.go.wait(30)
        self.got.append(message)


@pytest.fixture
def hub() -> Iterator[Callable[..., tuple[Hub, Working]]]:
    """A function that starts a hub with one consumer at a broker."""
    started: list[tuple[Hub, Working]] = []

    def start(port: int, **changes: Any) -> tuple[Hub, Working]:
        running = Hub({**configuration(port), "working": True, **changes}, [Working], [])
        (consumer,) = running.consumers
        started.append((running, consumer))
        running.start()
        return running, consumer

    yield start
    for running, consumer in started:
        consumer.go.set()
        running.close()


def subscribed(running: Hub) -> bool:
    """Return whether the broker has confirmed the hub's subscriptions."""
    stomp = running._links._stomp
    assert stomp is not None
    assert stomp._subscriber is not None
    return stomp._subscriber.wait_subscribed(30)


def test_topics_with_stars(
    broker: Node, hub: Callable[..., Any], make_context: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """A pattern gets what matches it, with headers beside it, and what the hub sends itself."""
    module = f"m{uuid.uuid4().hex}"
    running, consumer = hub(broker.port, topic=f"org.fedoraproject.dev.{module}.*")
    consumer.go.set()
    assert subscribed(running)
    context = make_context(**configuration(broker.port))
    context.publish(topic="a.b", msg={"n": 1}, modname="other")
    context.publish(topic="a.b", msg={"n": 2}, modname=module)
    assert context.flush(20) == 0
    eventually(lambda: len(consumer.got) == 1)
    running.send_message(f"org.fedoraproject.dev.{module}.own", {"topic": "x", "msg": {"n": 3}})
    eventually(lambda: len(consumer.got) == 2)
    assert [message["body"]["msg"]["n"] for message in consumer.got] == [2, 3]
    assert consumer.got[0]["headers"]["msg_id"] == consumer.got[0]["body"]["msg_id"]


def test_unfinished_message_comes_again(
    broker: Node, hub: Callable[..., Any], make_context: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """A hub that ends in the middle of a message has not acknowledged it: the next one gets it."""
    queue = f"/queue/{uuid.uuid4().hex}"
    how = {"topic": "*", "stomp_queue": queue, "stomp_ack_mode": "client-individual"}
    running, first = hub(broker.port, stop_timeout=0.2, **how)
    assert subscribed(running)
    context = make_context(**configuration(broker.port))
    for number in range(3):
        # A topic that begins with a slash is the destination.
        context._transport.send(queue.encode(), b'{"topic":"t","msg":%d}' % number)
    assert context.flush(20) == 0
    assert first.begun.wait(30)
    running.close()
    _, second = hub(broker.port, **how)
    second.go.set()
    eventually(lambda: len(second.got) == 3)
    assert sorted(message["body"]["msg"] for message in second.got) == [0, 1, 2]
