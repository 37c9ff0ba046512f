"""What the hub answers to a STOMP broker: after the work, and for all consumers together."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.base import Consumer
from fedmsg.hub.broker import StompSource


class Delivery:
    """A message of a broker that remembers its answers."""

    def __init__(self, topic: str = "t", body: Any = None, **headers: str) -> None:
        self.topic = topic
        self.body = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        self.headers = {"message-id": "1", **headers}
        self.answers: list[str] = []

    def ack(self) -> None:
        """It was handled."""
        self.answers.append("ack")

    def nack(self) -> None:
        """It was not."""
        self.answers.append("nack")


class Recorder(FedmsgConsumer):
    """Keeps what it gets; fails, or waits, when told to."""

    config_key = "on"
    validate_signatures = False
    fails = False
    topic = "t"

    def __init__(self, hub: Any) -> None:
        self.got: list[Any] = []
        self.go = threading.Event()
        self.go.set()
        self.busy = threading.Event()
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Take one message."""
        self.busy.set()
        self.go.wait(20)
        self.got.append(message)
        if self.fails:
            raise ValueError("told to")


class Raw(Recorder):
    """Wants objects."""

    jsonify = False


class Strict(Recorder):
    """Accepts nothing."""

    def validate(self, message: Any) -> None:
        """Refuse."""
        raise RuntimeWarning("no")


Make = Callable[..., Any]


@pytest.fixture
def hub() -> Iterator[Make]:
    """A function that makes consumers and the source that feeds them."""
    made: list[Consumer] = []

    class Hub:
        def __init__(self, config: dict[str, Any]) -> None:
            self.config = config

        def subscribe(self, topic: str, callback: Any) -> None:
            """The source looks at ``topics``."""

    def make(*classes: Any, **config: Any) -> tuple[StompSource, list[Any]]:
        settings = {"on": True, "stomp_uri": "127.0.0.1:1", **config}
        consumers = [cls(Hub(settings)) for cls in classes]
        made.extend(consumers)
        topics: defaultdict[str, list[Any]] = defaultdict(list)
        for consumer in consumers:
            topics[consumer.topic].append(consumer._consume)
            consumer.start_workers()
        return StompSource(settings, topics), consumers

    yield make
    for consumer in made:
        consumer.go.set()
        consumer.stop()


def test_answer_comes_after_the_work(hub: Make, eventually: Callable[..., Any]) -> None:
    """While a consumer works the broker keeps the message."""
    source, [consumer] = hub(Recorder)
    consumer.go.clear()
    delivery = Delivery()
    source._deliver(delivery)
    assert delivery.answers == []
    consumer.go.set()
    eventually(lambda: delivery.answers == ["ack"])


def test_headers_reach_the_consumer(hub: Make, eventually: Callable[..., Any]) -> None:
    """Beside the body, and in it, as text."""
    source, [consumer] = hub(Recorder)
    source._deliver(Delivery(body={"topic": "t", "msg": 1}, priority="4"))
    eventually(lambda: consumer.got)
    [message] = consumer.got
    assert (message["headers"]["priority"], message["body"]["headers"]["priority"]) == ("4", "4")


@pytest.mark.parametrize(("explicit", "answers"), [(True, ["nack"]), ("false", [])])
@pytest.mark.parametrize("blocking", [True, False])
def test_failure_is_not_acknowledged(
    hub: Make, eventually: Callable[..., Any], explicit: Any, answers: list[str], blocking: bool
) -> None:
    """One of two failed: a NACK, or silence where that is configured; both have got it."""
    source, consumers = hub(
        Recorder, Recorder,
        **{"stomp_send_explicit_nacks": explicit, "moksha.blocking_mode": blocking},
    )  # fmt: skip
    consumers[0].fails = True
    delivery = Delivery()
    source._deliver(delivery)
    eventually(lambda: all(each.got and each.headcount_out for each in consumers))
    eventually(lambda: not any(each.backlog for each in consumers) and delivery.answers == answers)


@pytest.mark.parametrize(
    "delivery",
    [Delivery("other"), Delivery(""), Delivery(body=b"\xff"), Delivery("org.test.\nfake")],
    ids=["nobody wants it", "no destination", "no text", "a topic of two lines"],
)  # fmt: skip
def test_what_nobody_can_handle_is_acknowledged(hub: Make, delivery: Delivery) -> None:
    """It would come again for ever."""
    source, [consumer] = hub(Recorder)
    source._deliver(delivery)
    assert (delivery.answers, consumer.got) == (["ack"], [])


def test_what_is_not_valid_is_acknowledged(hub: Make) -> None:
    """The same: it does not get better by being sent again."""
    source, [consumer] = hub(Strict)
    delivery = Delivery()
    source._deliver(delivery)
    assert (delivery.answers, consumer.got) == (["ack"], [])


@pytest.mark.parametrize(
    ("body", "expected"), [(b"", {}), (b"no json", "no json"), (b"[1]", [1]), (b"3", 3)]
)
def test_body_that_is_no_message_is_wrapped(
    hub: Make, eventually: Callable[..., Any], body: bytes, expected: Any
) -> None:
    """As from ZeroMQ."""
    source, [consumer] = hub(Recorder)
    source._deliver(Delivery(body=body))
    eventually(lambda: consumer.got)
    assert (consumer.got[0]["body"]["msg"], consumer.got[0]["body"]["topic"]) == (expected, "t")


def test_raw_consumer_gets_an_object(hub: Make, eventually: Callable[..., Any]) -> None:
    """The same kind from every source, and answered after the work."""
    source, [consumer] = hub(Raw)
    delivery = Delivery(body={"topic": "t"})
    source._deliver(delivery)
    eventually(lambda: delivery.answers == ["ack"])
    assert (consumer.got[0].topic, consumer.got[0].body) == ("t", '{"topic": "t"}')


def test_overlapping_patterns_deliver_once(hub: Make, eventually: Callable[..., Any]) -> None:
    """However many of them match."""
    source, [consumer] = hub(Recorder)
    for pattern in ("*", "t*", ""):
        source._topics[pattern].append(consumer._consume)  # type: ignore[index]
    delivery = Delivery()
    source._deliver(delivery)
    eventually(lambda: delivery.answers == ["ack"])
    assert len(consumer.got) == 1


def test_answers_in_order(hub: Make, eventually: Callable[..., Any]) -> None:
    """In mode ``client`` an answer is one for all before it, so none overtakes."""
    source, [slow, fast] = hub(Recorder, Recorder, stomp_ack_mode="client")
    slow.go.clear()
    source._topics = {"slow": [slow._consume], "fast": [fast._consume]}
    first, second = Delivery("slow"), Delivery("fast")
    source._deliver(first)
    source._deliver(second)
    eventually(lambda: fast.got)
    assert (first.answers, second.answers) == ([], [])
    slow.go.set()
    eventually(lambda: (first.answers, second.answers) == (["ack"], ["ack"]))


def test_full_queue_holds_the_broker_up(hub: Make, eventually: Callable[..., Any]) -> None:
    """Nothing is dropped: the source waits for room, and a stop ends that without an answer."""
    source, [consumer] = hub(Recorder, queue_limit=1, queue_wait=0)
    consumer.go.clear()
    deliveries = [Delivery() for _ in range(4)]
    feeding = threading.Thread(target=lambda: [source._deliver(each) for each in deliveries])
    feeding.start()
    eventually(lambda: consumer.busy.is_set() and consumer.incoming.qsize() == 1)
    assert (feeding.is_alive(), consumer.dropped) == (True, 0)
    consumer.stop()
    feeding.join(20)
    consumer.go.set()
    eventually(lambda: [each.answers for each in deliveries] == [["ack"], ["ack"], [], []])


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_receivers_are_isolated(hub: Make, error: BaseException) -> None:
    """What one raises is a failure of the message, and does not end the receiving."""
    source, _ = hub()

    def fail(_message: Any) -> None:
        raise error

    source._topics["t"].append(fail)
    delivery = Delivery()
    source._deliver(delivery)
    assert delivery.answers == ["nack"]
