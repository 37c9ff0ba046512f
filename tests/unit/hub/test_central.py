"""The hub itself, on real sockets (hub.md 2 to 4, 8)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from hubs import ON, Gate, Recorder, frames, numbers, raising
from parts import Publisher

from fedmsg.exceptions import ConfigurationError, FedmsgError, NoEndpointAvailable
from fedmsg.hub.central import Hub
from fedmsg.hub.producers import PollingProducer

Wait = Callable[..., Any]
Make = Callable[..., Hub]
EMPTY = {**ON, "zmq_subscribe_endpoints": "", "high_water_mark": 0, "zmq_linger": 1000}


class Other(Recorder):
    """Another topic."""

    topic = "org.other"


@pytest.fixture
def make() -> Iterator[Make]:
    """A function that makes a hub; it is closed with the test."""
    made: list[Hub] = []

    def build(*consumers: Any, producers: Any = (), **config: Any) -> Hub:
        made.append(Hub({**EMPTY, **config}, list(consumers), list(producers)))
        return made[-1]

    yield build
    for each in made:
        each.close()


@pytest.fixture
def bus(make: Make, publisher: Callable[..., Publisher]) -> Callable[..., tuple[Hub, Publisher]]:
    """A function that makes a hub which is connected to a publisher."""

    def connect(*consumers: Any, **config: Any) -> tuple[Hub, Publisher]:
        source = publisher()
        hub = make(*consumers, zmq_subscribe_endpoints=source.endpoint, **config)
        hub.start()
        source.joined()
        return hub, source

    return connect


def message(number: int, topic: str = "org.test") -> list[bytes]:
    """Return the frames of one numbered message."""
    return frames(topic, json.dumps({"topic": topic, "msg": {"n": number}}))


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


def test_everybody_gets_what_it_wants(bus: Wait, eventually: Wait) -> None:
    """Two on one topic, a third on another (H-3)."""
    hub, source = bus(Recorder, type("Same", (Recorder,), {}), Other)
    source.send(*(message(n) for n in range(10)), message(99, "org.other"))
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
    source.send(message(1, "extra.a"))
    eventually(lambda: heard == ["extra.a"])
    hub.unsubscribe(callback)
    assert source.joined() == b"\x00extra."
    source.send(message(2, "extra.b"), message(3))
    eventually(lambda: numbers(hub.consumers[0]) == [3])
    assert heard == ["extra.a"]


def test_strict(bus: Wait, eventually: Wait) -> None:
    """``zmq_strict``: topics are equal."""
    hub, source = bus(Recorder, zmq_strict=True)
    source.send(message(1, "org.test.a"), message(2))
    eventually(lambda: numbers(hub.consumers[0]) == [2])


def test_close_consumes_what_is_queued(bus: Wait, gate: Gate) -> None:
    """All that has been taken in; nothing is taken in any more."""
    hub, source = bus(Recorder)
    (consumer,) = hub.consumers
    consumer.act = gate
    source.send(*(message(n) for n in range(500)))
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
    source.send(message(1))
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
    source.send(*(message(n) for n in range(50)))
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
    source.send(message(1), message(2))
    eventually(lambda: numbers(hub.consumers[0]) == [1, 2])
    assert hub.running


class Failing(Recorder):
    """Subscribes, then fails."""

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        raise OSError("no database")


def test_named_consumer_that_fails(make: Make) -> None:
    """An error at the start that says which and why; nothing stays open."""
    with pytest.raises(FedmsgError, match="Failing could not start: no database"):
        make(Recorder, Failing)


def discovered(monkeypatch: pytest.MonkeyPatch, *classes: Any) -> None:
    """Let classes be what is installed."""
    monkeypatch.setattr("fedmsg.hub.discovery.find", lambda groups: iter(classes))


def test_discovered_consumer_that_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Logged, reported, and without subscription; the others run (H-7)."""
    discovered(monkeypatch, Failing, raising(SystemExit(1)), Recorder)
    hub = Hub(EMPTY, None, [])
    hub.close()
    assert [each.__json__()["name"] for each in hub.failed] == ["Failing", "act"]
    assert [callback.__self__.__class__ for callback in hub.dispatcher.callbacks()] == [Recorder]
    assert "no database" in caplog.text


def test_no_enabled_consumer_could_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, although it was discovered."""
    discovered(monkeypatch, Failing)
    with pytest.raises(FedmsgError, match=r"no enabled consumer.*Failing: no database"):
        Hub(EMPTY, None, [])


def test_nothing_enabled(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A warning: the producers may be all there is (HD-19)."""
    discovered(monkeypatch, Recorder)
    Hub({**EMPTY, "recorder": False}, None, []).close()
    assert "no consumer is enabled" in caplog.text


def test_factories(make: Make) -> None:
    """Anything that can be called with a hub."""
    hub = make(lambda hub: Recorder(hub))
    assert hub.num_consumers == 1


def test_failing_producer_is_passed_over(make: Make) -> None:
    """The hub runs without it."""
    hub = make(Recorder, producers=[raising(ValueError("no"))])
    assert (hub.num_consumers, hub.producers) == (1, [])


@pytest.mark.parametrize("key", ["zmq_subscribe_endpoints", "zmq_publish_endpoints"])
def test_localhost(make: Make, key: str) -> None:
    """Refused, as in 1.1.7."""
    with pytest.raises(ConfigurationError, match=f"'localhost' in {key} is disallowed"):
        make(**{key: "tcp://127.0.0.1:1,tcp://localhost:2"})


def test_no_transport(make: Make) -> None:
    """Named, with the remedy."""
    with pytest.raises(ConfigurationError, match="zmq_enabled=True"):
        make(zmq_enabled=False)


@pytest.mark.parametrize("option", ["stop_timeout", "queue_limit", "max_message_size"])
def test_wrong_options(make: Make, option: str) -> None:
    """Found at the start."""
    with pytest.raises((ValueError, FedmsgError), match=option):
        make(Recorder, **{option: "x"})


def test_name_that_does_not_resolve(
    bus: Wait, publisher: Wait, make: Make, eventually: Wait
) -> None:
    """It is skipped, the rest works (H-9)."""
    source = publisher()
    hub = make(Recorder, zmq_subscribe_endpoints=f"tcp://no-such-host.invalid:1,{source.endpoint}")
    hub.start()
    source.joined()
    source.send(message(1))
    eventually(lambda: numbers(hub.consumers[0]) == [1])


def test_bound_inbound(make: Make, port: Wait, feeder: Wait, eventually: Wait) -> None:
    """``zmq_subscribe_method`` bind takes a wildcard, and one address once (HD-13)."""
    number = port()
    both = f"tcp://*:{number}, tcp://*:{number}"
    hub = make(Recorder, zmq_subscribe_endpoints=both, zmq_subscribe_method="bind")
    hub.start()
    source = feeder(f"tcp://127.0.0.1:{number}")
    source.send_multipart(message(1))
    eventually(lambda: numbers(hub.consumers[0]) == [1])


def test_wildcard_to_connect_to(make: Make, publisher: Wait, eventually: Wait) -> None:
    """It becomes the loopback address."""
    source = publisher()
    hub = make(Recorder, zmq_subscribe_endpoints=source.endpoint.replace("127.0.0.1", "*"))
    hub.start()
    source.joined()
    source.send(message(1))
    eventually(lambda: numbers(hub.consumers[0]) == [1])


def test_inbound_port_in_use(make: Make, address: Wait, zmq_context: zmq.Context[Any]) -> None:
    """An error that names it (HD-12)."""
    endpoint = address()
    zmq_context.socket(zmq.SUB).bind(endpoint)
    hub = make(zmq_subscribe_endpoints=endpoint, zmq_subscribe_method="bind")
    with pytest.raises(NoEndpointAvailable, match=endpoint):
        hub.start()


def test_outbound_port_in_use(make: Make, address: Wait, zmq_context: zmq.Context[Any]) -> None:
    """An error (HD-11)."""
    endpoint = address()
    zmq_context.socket(zmq.PUB).bind(endpoint)
    with pytest.raises(zmq.ZMQError, match="in use"):
        make(zmq_publish_endpoints=endpoint)
