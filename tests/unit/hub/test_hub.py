"""``fedmsg.hub.main``, its monitoring and its signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq

from fedmsg import hub
from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.message import BusMessage
from fedmsg.consumers.relay import RelayConsumer
from fedmsg.exceptions import ConfigurationError, NoEndpointAvailable
from fedmsg.hub import relay, signals
from fedmsg.hub.monitoring import MonitoringProducer


class Altered(RelayConsumer):
    """Needs a hub that decodes."""

    def consume(self, msg: dict[str, Any]) -> None:
        """Do something of its own."""


class Renamed(RelayConsumer):
    """Does what its parent does."""

    config_key = "my.relay"


@pytest.mark.parametrize(
    ("consumer", "plain"), [(RelayConsumer, True), (Renamed, True), (Altered, False), (dict, False)]
)
def test_only_an_unmodified_relay_is_forwarded(consumer: type, plain: bool) -> None:
    """A subclass that overrides consume cannot be replaced by passing bytes on."""
    assert relay.is_plain(consumer) is plain


def test_localhost_is_refused() -> None:
    """As in 1.1.7, with the remedy."""
    options = {"zmq_subscribe_endpoints": "tcp://localhost:1", "high_water_mark": 0}
    with pytest.raises(ConfigurationError, match="'localhost' in zmq_subscribe_endpoints .*127"):
        hub.main(options, [RelayConsumer], [], framework=False)


class Hub:
    """What a producer sees of a hub."""

    def __init__(self, **config: Any) -> None:
        self.config = config
        self.consumers: list[Any] = []
        self.producers: list[Any] = []


def test_monitoring_sends_the_documented_json(
    address: Callable[[], str], zmq_context: zmq.Context[Any], eventually: Callable[..., Any]
) -> None:
    """One frame, with the records of consumers and producers."""
    endpoint = address()
    owner = Hub(**{"moksha.monitoring.socket": endpoint})
    producer = MonitoringProducer(owner)
    owner.producers = [producer]
    sub = zmq_context.socket(zmq.SUB)
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    sub.connect(endpoint)
    eventually(lambda: producer.poll() or sub.poll(10))
    (frame,) = sub.recv_multipart()
    producer.stop()
    record = json.loads(frame)["producers"][0]
    assert (record["name"], record["initialized"], record["frequency"]) == (
        "MonitoringProducer", True, 5.0,
    )  # fmt: skip


@pytest.mark.parametrize("record", [{"topic": object()}, SystemExit(1)])
def test_monitoring_of_a_part_that_has_no_record(
    address: Callable[[], str], zmq_context: zmq.Context[Any], eventually: Callable[..., Any],
    record: Any,
) -> None:  # fmt: skip
    """The others are reported, and it as an error."""

    class Odd:
        """A plug-in of somebody else."""

        def __json__(self) -> Any:
            if isinstance(record, dict):
                return record
            raise record

    endpoint = address()
    owner = Hub(**{"moksha.monitoring.socket": endpoint})
    producer = MonitoringProducer(owner)
    owner.producers, owner.consumers = [producer], [Odd()]
    sub = zmq_context.socket(zmq.SUB)
    sub.setsockopt(zmq.SUBSCRIBE, b"")
    sub.connect(endpoint)
    eventually(lambda: producer.poll() or sub.poll(10))
    report = json.loads(sub.recv())
    producer.stop()
    assert [each["name"] for each in report["producers"]] == ["MonitoringProducer"]
    [odd] = report["consumers"]
    assert (odd["name"], odd["initialized"], odd["exceptions"]) == ("Odd", False, 1)


@pytest.mark.parametrize("mode", ["770", 0o770])
def test_monitoring_mode_is_octal(tmp_path: Path, mode: str | int) -> None:
    """A text such as '770', or the number itself."""
    path = tmp_path / "m.socket"
    config = {"moksha.monitoring.socket": f"ipc://{path}", "moksha.monitoring.socket.mode": mode}
    producer = MonitoringProducer(Hub(**config))
    found = path.stat().st_mode & 0o777
    producer.stop()
    assert found == 0o770


def test_monitoring_socket_in_use_is_fatal(tmp_path: Path) -> None:
    """libzmq would take a Unix socket over silently."""
    config = {"moksha.monitoring.socket": f"ipc://{tmp_path / 'm.socket'}"}
    first = MonitoringProducer(Hub(**config))
    with pytest.raises(NoEndpointAvailable, match=r"m\.socket"):
        MonitoringProducer(Hub(**config))
    first.stop()


def test_monitoring_is_off_without_an_address() -> None:
    """Nothing is bound and polling does nothing."""
    producer = MonitoringProducer(Hub())
    producer.poll()
    assert producer.__json__()["initialized"] is False


def test_first_signal_asks_to_stop() -> None:
    """The handlers of before are back afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    asked = threading.Event()
    with signals.stopping(asked.set):
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.wait(5)
    assert signal.getsignal(signal.SIGTERM) is before


def test_notify_tells_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state is one datagram to the socket that systemd names."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        signals.notify("READY=1")
        assert listener.recv(100) == b"READY=1"


RELAY = {"fedmsg.consumers.relay.enabled": True, "moksha.blocking_mode": True}


class Subscribing(Hub):
    """Records what consumers ask for."""

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self.subscribed: list[Any] = []
        self.sent: list[Any] = []

    def subscribe(self, topic: str, callback: Any) -> None:
        """Remember a subscription."""
        self.subscribed.append((topic, callback))

    def send_message(self, **kw: Any) -> None:
        """Remember a message."""
        self.sent.append(kw)


def test_relay_consumer_sends_on() -> None:
    """Called by a hub, it passes topic and body on by keyword."""
    owner = Subscribing(**RELAY)
    consumer = RelayConsumer(owner)
    owner.subscribed[0][1](BusMessage("t", '{"topic": "t", "a": 1}'))
    assert (owner.sent, consumer.validate_signatures) == (
        [{"topic": "t", "message": {"topic": "t", "a": 1}}], False,
    )  # fmt: skip


def test_disabled_consumer_does_not_subscribe() -> None:
    """It stays uninitialised."""
    owner = Subscribing()
    assert (RelayConsumer(owner)._initialized, owner.subscribed) == (False, [])


def test_consumer_needs_a_config_key() -> None:
    """The error names the class; it is a ValueError."""

    class Keyless(FedmsgConsumer):
        """Lacks what every consumer has."""

    with pytest.raises(ValueError, match="Keyless must declare a 'config_key'"):
        Keyless(Subscribing())


def test_failing_consumer_is_isolated(caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged, and not the hub's."""
    owner = Subscribing(**RELAY)
    owner.send_message = None  # type: ignore[method-assign,assignment]
    RelayConsumer(owner)
    assert owner.subscribed[0][1](BusMessage("t", "{}")) is False
