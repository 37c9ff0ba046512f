"""Producers: periods, failures, the end (hub.md 5)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from hubs import FakeHub

from fedmsg.exceptions import NoEndpointAvailable
from fedmsg.hub.monitoring import MonitoringProducer
from fedmsg.hub.producers import PollingProducer, Producer

Wait = Callable[..., Any]


class Ticking(PollingProducer):
    """Counts its polls."""

    frequency = 0.01

    def __init__(self, hub: Any) -> None:
        self.polls = 0
        self.act: Callable[[], Any] = lambda: None
        super().__init__(hub)

    def poll(self) -> None:
        """Count."""
        self.polls += 1
        self.act()


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    """A function that makes a producer; it is stopped with the test."""
    made: list[Any] = []

    def build(cls: type = Ticking, **attributes: Any) -> Any:
        made.append(type(cls.__name__, (cls,), attributes)(FakeHub()))
        return made[-1]

    yield build
    for each in made:
        each.stop()


def failing(error: BaseException) -> Callable[..., None]:
    """Return a function that raises."""

    def act(*_: Any) -> None:
        raise error

    return act


@pytest.mark.parametrize("frequency", [0.01, timedelta(milliseconds=10), 0, None])
def test_polls_again_and_again(make: Wait, eventually: Wait, frequency: Any) -> None:
    """With a number, a timedelta, or without a pause."""
    producer = make(frequency=frequency)
    eventually(lambda: producer.polls > 5)
    assert producer.frequency == (0.01 if frequency else 0)


@pytest.mark.parametrize(("now", "polls"), [(True, 1), (False, 0)])
def test_first_poll(make: Wait, eventually: Wait, now: bool, polls: int) -> None:
    """At once, or after a period."""
    producer = make(frequency=1000, now=now)
    eventually(lambda: producer.polls == polls)
    assert (producer.last_ran is not None) is now


def test_period_does_not_drift() -> None:
    """What a poll takes is part of the period (HD-16)."""
    due = []
    clock = [0.0]

    class Slow(Ticking):
        """Takes a third of its period."""

        frequency = 3.0

        def _wait_until(self, when: float) -> bool:
            due.append(when)
            clock[0] = max(clock[0], when)
            return len(due) < 5

        def poll(self) -> None:
            clock[0] += 1.0

    with mock.patch("fedmsg.hub.producers.time", monotonic=lambda: clock[0], time=time.time):
        producer = Slow(FakeHub())
        producer._thread.join(20)
        producer.stop()
    assert due == [3.0, 6.0, 9.0, 12.0, 15.0]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_failures_are_counted(
    make: Wait, eventually: Wait, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """It goes on; a success restarts the counter (HD-15)."""
    producer = make()
    producer.act = failing(error)
    eventually(lambda: producer.__json__()["exceptions"] >= 3)
    producer.act = lambda: None
    eventually(lambda: producer.__json__()["exceptions"] == 0)
    assert "Ticking failed; it goes on" in caplog.text


def test_failure_without_pause_makes_one(make: Wait, eventually: Wait) -> None:
    """Else it would fill the log as fast as it can."""
    producer = make(frequency=0, poll=failing(ValueError("no")))
    eventually(lambda: producer._exception_count == 1)
    began = time.monotonic()
    eventually(lambda: producer._exception_count == 3)
    assert time.monotonic() - began >= 1


def test_stop_is_immediate(make: Wait) -> None:
    """However long the period is; the hub is closed."""
    producer = make(frequency=1e6)
    producer.hub.close = mock.Mock()
    producer.stop()
    assert not producer._thread.is_alive()
    producer.hub.close.assert_called_with()


def test_die_ends_it(make: Wait, eventually: Wait) -> None:
    """Set by anybody."""
    producer = make()
    producer.die = True
    eventually(lambda: not producer._thread.is_alive())


def test_producer_that_stops_itself(make: Wait, eventually: Wait) -> None:
    """From its own thread."""
    producer = make()
    producer.act = producer.stop
    eventually(lambda: not producer._thread.is_alive())


def test_record(make: Wait) -> None:
    """What monitoring scripts read."""
    assert make(frequency=1000).__json__() == {
        "name": "Ticking", "module": __name__, "initialized": True, "exceptions": 0,
        "frequency": 1000, "now": False, "last_ran": None,
    }  # fmt: skip


def test_send_message_logs_failures(caplog: pytest.LogCaptureFixture) -> None:
    """One line."""
    hub = FakeHub()
    hub.send_message = failing(OSError("gone"))  # type: ignore[attr-defined]
    Producer(hub).send_message("t", {})
    assert "Cannot send message on t: gone" in caplog.text


def test_database(tmp_path: Any) -> None:
    """``app`` gives an engine and a session (HD-17)."""
    pytest.importorskip("sqlalchemy")
    producer = type("P", (Producer,), {"app": "x"})(FakeHub(app_db=f"sqlite:///{tmp_path}/x.db"))
    assert producer.DBSession.get_bind() is producer.engine
    producer.stop()
    producer.engine.dispose()


def test_poll_has_to_be_written(make: Wait) -> None:
    """The error names the class."""
    producer = make(PollingProducer, frequency=1000)
    with pytest.raises(NotImplementedError, match="PollingProducer must implement 'poll'"):
        producer.poll()


class Broken:
    """Gives no record."""

    def __json__(self) -> Any:
        raise ValueError("no")


class Good:
    """Gives one."""

    def __json__(self) -> Any:
        return {"name": "Good"}


@pytest.fixture
def monitoring(address: Callable[[], str]) -> Iterator[MonitoringProducer]:
    """A monitoring producer with an address."""
    hub: Any = FakeHub(**{"moksha.monitoring.socket": address()})
    hub.consumers, hub.producers, hub.failed = [], [], []
    producer = MonitoringProducer(hub)
    yield producer
    producer.stop()


def test_one_broken_record_does_not_hide_the_others(monitoring: MonitoringProducer) -> None:
    """It is reported as not initialised; consumers that could not be made are there."""
    monitoring.hub.consumers, monitoring.hub.failed = [Broken()], [Good()]
    sent = []
    with mock.patch.object(monitoring, "_socket", mock.Mock(send=sent.append)):
        monitoring.poll()
    assert b'"Broken"' in sent[0]
    assert b'"name":"Good"' in sent[0].replace(b'": "', b'":"')
    assert sent[0].count(b'"initialized":false') == 1


def test_wrong_mode_is_an_error(tmp_path: Any) -> None:
    """Named, with its key."""
    config = {
        "moksha.monitoring.socket": f"ipc://{tmp_path}/m",
        "moksha.monitoring.socket.mode": "9",
    }
    with pytest.raises(NoEndpointAvailable, match=r"moksha\.monitoring\.socket, mode '9'"):
        MonitoringProducer(FakeHub(**config))
