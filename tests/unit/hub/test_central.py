"""The hub itself, on real sockets (hub.md 2 to 4, 8)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hubs import EMPTY, Gate, Recorder, numbered_one, numbers, raising

from fedmsg.hub.central import Hub
from fedmsg.hub.producers import PollingProducer

Wait = Callable[..., Any]
Make = Callable[..., Hub]


class Other(Recorder):
    """Another topic."""

    topic = "org.other"


def test_empty_hub(make: Make) -> None:
    """It can be made and closed, also twice; its topics are those of the consumers (H-1, H-8)."""
    hub = make(Recorder, Other)
    (first, second) = hub.consumers
    assert dict(hub.topics) == {"org.test": [first._consume], "org.other": [second._consume]}
    assert (hub.num_consumers, hub.num_producers) == (2, 0)
    hub.close()
    hub.stop()
    assert (hub.consumers, hub.producers) == ([], [])


def test_topics_are_those_after_construction(make: Make) -> None:
    """C-9: STOMP uses them."""

    class Late(Recorder):
        """Decides late."""

        def __init__(self, hub: Any) -> None:
            super().__init__(hub)
            self.topic = "late"

    hub = make(Late)
    assert (list(hub.topics), hub.dispatcher.prefixes()) == (["late"], [b"org.test"])


def test_configuration_is_copied(make: Make) -> None:
    """Consumers may write to theirs."""
    given = {**EMPTY}
    hub = Hub(given, [], [])
    hub.config["new"] = 1
    hub.close()
    assert given == EMPTY


def test_little_configuration() -> None:
    """What Moksha has a default for may be missing."""
    Hub({"zmq_subscribe_endpoints": ""}, [], []).close()


def test_everybody_gets_what_it_wants(bus: Wait, eventually: Wait) -> None:
    """Two on one topic, a third on another (H-3)."""
    hub, source = bus(Recorder, type("Same", (Recorder,), {}), Other)
    source.send(*(numbered_one(n) for n in range(10)), numbered_one(99, "org.other"))
    first, same, other = hub.consumers
    eventually(lambda: (len(first.got), len(same.got), len(other.got)) == (10, 10, 1))
    assert numbers(first) == numbers(same) == list(range(10))
    assert numbers(other) == [99]


def test_to_itself(make: Make, address: Callable[[], str], eventually: Wait) -> None:
    """What it sends arrives: dicts, texts, to several topics (H-2)."""
    endpoint = address()
    hub = make(Recorder, zmq_subscribe_endpoints=endpoint, zmq_publish_endpoints=endpoint)
    hub.start()
    (consumer,) = hub.consumers
    eventually(lambda: [hub.send_message("org.test.probe", {}), consumer.got][1])
    hub.send_message("elsewhere", {"n": 0})
    hub.send_message(["org.test.1", "org.test.2"], {"n": 1})
    hub.send_message("org.test.3", '{ "n" :3}', jsonify=False)
    hub.send_message("org.test.4", "text")
    eventually(lambda: consumer.got[-1]["topic"] == "org.test.4")
    found = [each for each in consumer.got if each["topic"] != "org.test.probe"]
    assert [(each["topic"][-1], each["body"]["msg"]) for each in found] == [
        ("1", {"n": 1}), ("2", {"n": 1}), ("3", {"n": 3}), ("4", "text"),
    ]  # fmt: skip


def test_sent_before_the_end_arrives(
    make: Make, address: Callable[[], str], subscriber: Wait, eventually: Wait
) -> None:
    """Within the linger time (H-8)."""
    endpoint = address()
    hub = make(zmq_publish_endpoints=endpoint)
    sub = subscriber(endpoint)
    eventually(lambda: [hub.send_message("t", "probe"), sub.socket.poll(10)][1])
    for number in range(1000):
        hub.send_message("t", number)
    hub.close()
    found = []
    while not found or found[-1] != b"999":
        found.append(sub.receive()[1])
    assert found[-1000:] == [b"%d" % n for n in range(1000)]


def test_send_without_address(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A warning, no exception."""
    make().send_message("t", {})
    assert "cannot send on b't': zmq_publish_endpoints is not configured" in caplog.text


def test_subscribe_and_unsubscribe_while_it_runs(bus: Wait, eventually: Wait) -> None:
    """From any thread; nothing arrives afterwards."""
    hub, source = bus(Recorder)
    heard: list[str] = []

    def callback(each: Any) -> None:
        heard.append(each.topic)

    hub.subscribe("extra.*", callback)
    assert source.joined() == b"\x01extra."
    source.send(numbered_one(1, "extra.a"))
    eventually(lambda: heard == ["extra.a"])
    hub.unsubscribe(callback)
    assert source.joined() == b"\x00extra."
    source.send(numbered_one(2, "extra.b"), numbered_one(3))
    eventually(lambda: numbers(hub.consumers[0]) == [3])
    assert heard == ["extra.a"]


def test_strict(bus: Wait, eventually: Wait) -> None:
    """``zmq_strict``: topics are equal."""
    hub, source = bus(Recorder, zmq_strict=True)
    source.send(numbered_one(1, "org.test.a"), numbered_one(2))
    eventually(lambda: numbers(hub.consumers[0]) == [2])


def test_close_consumes_what_is_queued(bus: Wait, gate: Gate) -> None:
    """All that has been taken in; nothing is taken in any more."""
    hub, source = bus(Recorder)
    (consumer,) = hub.consumers
    consumer.act = gate
    source.send(*(numbered_one(n) for n in range(500)))
    assert gate.reached.wait(20)
    closing = threading.Thread(target=hub.close)
    closing.start()
    gate.open()
    closing.join(20)
    assert consumer.headcount_in == len(consumer.got)
    assert numbers(consumer) == list(range(len(consumer.got)))


def test_close_has_a_limit(bus: Wait, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    """A consumer that blocks for ever is left, and what it leaves is counted."""
    hub, source = bus(Recorder, stop_timeout=0.1)
    hub.consumers[0].act = gate
    source.send(numbered_one(1))
    assert gate.reached.wait(20)
    hub.close()
    assert "Recorder did not finish: 1 messages were left" in caplog.text


@pytest.mark.parametrize("mode", [{}, {"moksha.blocking_mode": True}])
def test_consumer_that_closes_the_hub(
    bus: Wait, eventually: Wait, caplog: pytest.LogCaptureFixture, mode: dict[str, Any]
) -> None:
    """From its worker, or from the thread that receives: what is queued is still consumed."""
    hub, source = bus(Recorder, **mode)
    (consumer,) = hub.consumers
    consumer.act = lambda each: hub.close()
    source.send(*(numbered_one(n) for n in range(50)))
    eventually(lambda: not hub.running)
    began = time.monotonic()
    hub.close()
    assert (time.monotonic() - began < 20, hub.error) == (True, None)
    assert (consumer.headcount_in, consumer.backlog) == (len(consumer.got), 0)
    assert "open" not in caplog.text


def test_producer_that_closes_the_hub(make: Make, eventually: Wait) -> None:
    """From its own thread."""

    class Closing(PollingProducer):
        """Ends everything."""

        frequency = 0.01

        def poll(self) -> None:
            self.hub.close()

    hub = make(Recorder, producers=[Closing])
    hub.start()
    eventually(lambda: not hub.running)
    hub.close()
    assert hub.producers == []


def test_callback_that_fails_does_not_end_it(bus: Wait, eventually: Wait) -> None:
    """Also with SystemExit."""
    hub, source = bus(Recorder)
    hub.subscribe("org.test", raising(SystemExit(1)))
    source.send(numbered_one(1), numbered_one(2))
    eventually(lambda: numbers(hub.consumers[0]) == [1, 2])
    assert hub.running
