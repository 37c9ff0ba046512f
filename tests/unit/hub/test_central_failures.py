"""What a hub makes of consumers, producers and addresses that are wrong (hub.md 3, 4, 9)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from hubs import EMPTY, Gate, Recorder, numbered_one, numbers, raising

from fedmsg.exceptions import ConfigurationError, FedmsgError, NoEndpointAvailable
from fedmsg.hub.central import Hub

Wait = Callable[..., Any]
Make = Callable[..., Hub]


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
    source.send(numbered_one(1))
    eventually(lambda: numbers(hub.consumers[0]) == [1])


def test_bound_inbound(make: Make, port: Wait, feeder: Wait, eventually: Wait) -> None:
    """``zmq_subscribe_method`` bind takes a wildcard, and one address once (HD-13)."""
    number = port()
    both = f"tcp://*:{number}, tcp://*:{number}"
    hub = make(Recorder, zmq_subscribe_endpoints=both, zmq_subscribe_method="bind")
    hub.start()
    source = feeder(f"tcp://127.0.0.1:{number}")
    source.send_multipart(numbered_one(1))
    eventually(lambda: numbers(hub.consumers[0]) == [1])


def test_wildcard_to_connect_to(make: Make, publisher: Wait, eventually: Wait) -> None:
    """It becomes the loopback address."""
    source = publisher()
    hub = make(Recorder, zmq_subscribe_endpoints=source.endpoint.replace("127.0.0.1", "*"))
    hub.start()
    source.joined()
    source.send(numbered_one(1))
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


@pytest.mark.parametrize("place", ["first", "last"])
def test_stop_that_fails_or_hangs(
    bus: Wait, gate: Gate, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """The other consumers are stopped, what they have is consumed, and the hub ends."""

    class Exits(Recorder):
        """Its end is one."""

        def stop(self) -> None:
            super().stop()
            raise SystemExit(1)

    class Hangs(Recorder):
        """Its end has none."""

        def stop(self) -> None:
            gate()
            super().stop()

    bad = [Exits, Hangs]
    hub, source = bus(*([*bad, Recorder] if place == "first" else [Recorder, *bad]), stop_timeout=2)
    [good] = [each for each in hub.consumers if type(each) is Recorder]
    source.send(numbered_one(1))
    hub.close()
    assert good._threads._running and not any(each.is_alive() for each in good._threads._running)
    assert "Exits object" in caplog.text and "could not be stopped" in caplog.text
    assert "fedmsg-stop-Hangs does not return" in caplog.text
    assert "Recorder did not finish" not in caplog.text


def test_two_consumers_with_one_status_file(make: Make, tmp_path: Path) -> None:
    """Each would overwrite how far the other has got: refused, unless nothing is kept."""
    namesake = type("Recorder", (Recorder,), {})
    assert len(make(Recorder, namesake).consumers) == 2
    with pytest.raises(FedmsgError, match="keeps its status in .*; rename one of them"):
        make(Recorder, namesake, status_directory=str(tmp_path))
