"""The base consumer: construction, arrival, counters, the end (consumers.md 2 and 7)."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hubs import ON, FakeHub, Recorder, numbered, numbers, raising

from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.base import Consumer
from fedmsg.consumers.values import as_bool, topics_of, worker_count

Run = Callable[..., Any]
BLOCKING = {"moksha.blocking_mode": True}


class Two(Recorder):
    """Has several topics."""

    topic = ["org.a", "org.b.*"]  # type: ignore[assignment]  # noqa: RUF012


def test_two_lines_are_a_consumer() -> None:
    """With a key, a topic and ``consume``, it subscribes its bound method positionally (C-1)."""
    hub = mock.Mock(config={"mine": True, "validate_signatures": False})

    class Mine(FedmsgConsumer):
        """A consumer."""

        config_key, topic = "mine", "a.b"

        def consume(self, message: Any) -> None:
            """Do nothing."""

    consumer = Mine(hub)
    hub.subscribe.assert_called_once_with("a.b", consumer._consume_json)
    assert consumer._initialized is True
    assert isinstance(consumer.incoming, queue.Queue)


def test_raw_consumer_subscribes_consume() -> None:
    """With ``jsonify`` false it gets the objects."""
    hub = FakeHub(**ON)
    consumer = type("Raw", (Recorder,), {"jsonify": False})(hub)
    assert hub.subscribed == [("org.test", consumer._consume)]


def test_every_topic_is_subscribed() -> None:
    """A list has each of its own."""
    hub = FakeHub(**ON)
    Two(hub)
    assert [topic for topic, _ in hub.subscribed] == ["org.a", "org.b.*"]


@pytest.mark.parametrize(
    ("declared", "found"),
    [("a", ["a"]), (b"\xc3\xa9", ["é"]), (("a", b"b"), ["a", "b"]), ("", [""])],
)
def test_topics_are_texts(declared: Any, found: list[str]) -> None:
    """Bytes are UTF-8 (CD-23)."""
    assert topics_of(SimpleNamespace(topic=declared)) == found


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        (" Yes ", True), ("on", True), ("T", True), ("1", True), (1, True), ([], False),
        ("no", False), ("OFF", False), ("f", False), ("0", False), (None, False),
    ],
)  # fmt: skip
def test_texts_mean_what_they_say(value: Any, truth: bool) -> None:
    """As Moksha's asbool."""
    assert as_bool(value) is truth


def test_other_texts_are_errors() -> None:
    """Neither yes nor no."""
    with pytest.raises(ValueError, match="'maybe'"):
        as_bool("maybe")


@pytest.mark.parametrize("value", [0, -1, "x", None])
def test_workers_are_at_least_one(value: Any) -> None:
    """Without a worker everything would be lost in silence."""
    with pytest.raises(ValueError, match="workers_per_consumer must be at least 1"):
        worker_count(value)


def test_without_a_hub_that_runs_nothing_is_worked_on(run: Run) -> None:
    """Tests of applications look into ``incoming``, as they could with 1.1.7."""
    consumer = run(start=False)
    assert consumer.hub.deliver("org.test", "{}") is None
    assert (consumer.incoming.qsize(), consumer.N) == (1, 1)
    assert consumer.incoming.get()["topic"] == "org.test"


def test_blocking_mode_has_no_workers(run: Run) -> None:
    """The result of ``consume`` is that of the callback (C-5)."""
    consumer = run(**BLOCKING)
    consumer.hub.config = {}
    assert (consumer.hub.deliver("org.test", "{}"), hasattr(consumer, "N")) == (True, False)
    consumer.act = raising(ValueError("no"))
    assert consumer.hub.deliver("org.test", "{}") is False


def test_counters(run: Run) -> None:
    """Five messages, two failures; reading restarts them (C-6)."""
    consumer = run(**BLOCKING)
    for number in range(5):
        consumer.act = raising(ValueError("no")) if number < 2 else lambda message: None
        consumer.hub.deliver("org.test", "{}")
    record = consumer.__json__()
    assert [record[key] for key in ("headcount_in", "headcount_out", "exceptions")] == [5, 5, 2]
    assert (len(record["times"]), record["backlog"], record["initialized"]) == (5, 0, True)
    assert consumer.__json__() == {
        **record, "headcount_in": 0, "headcount_out": 0, "exceptions": 0, "times": [],
    }  # fmt: skip


def test_times_are_bounded(run: Run) -> None:
    """The newest 1024."""
    consumer = run(**BLOCKING)
    for _ in range(1500):
        consumer.hub.deliver("org.test", "{}")
    assert len(consumer._times) == 1024


def test_disabled_consumer_has_a_record_and_stops() -> None:
    """Although its constructor returned early (CD-16)."""
    consumer = Recorder(FakeHub())
    record = consumer.__json__()
    consumer.stop()
    assert (record["initialized"], record["backlog"], record["times"]) == (False, None, [])


def test_bytes_topic_has_a_record(run: Run) -> None:
    """JSON has no bytes."""
    consumer = run(type("Bytes", (Recorder,), {"topic": [b"a", "b"]}))
    assert consumer.__json__()["topic"] == ["a", "b"]


def test_stop_consumes_what_is_queued(run: Run) -> None:
    """The sentinels are behind the messages; the hub and the session are closed."""
    consumer = run(start=False, **{"moksha.workers_per_consumer": 2})
    consumer.hub.close = mock.Mock()
    consumer.DBSession = mock.Mock()
    consumer.take(numbered(50))
    consumer.stop()
    assert list(consumer.incoming.queue)[-2:] == [StopIteration, StopIteration]
    consumer.start_workers()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0
    assert sorted(numbers(consumer)) == list(range(50))
    consumer.hub.close.assert_called_once_with()
    consumer.DBSession.close.assert_called_once_with()


def test_what_never_started_is_left(run: Run) -> None:
    """Counted without the sentinels."""
    consumer = run(start=False)
    consumer.take(numbered(3))
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic()) == 3


@pytest.mark.parametrize("workers", [1, 3])
def test_takes_batches_in_order(run: Run, workers: int) -> None:
    """One worker keeps the order; several get a message each, none is lost."""
    consumer = run(**{"moksha.workers_per_consumer": workers})
    assert consumer.takes_batches
    for start in range(0, 100, 10):
        consumer.take(numbered(100)[start : start + 10])
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic() + 20) == 0
    got = numbers(consumer)
    assert (got if workers == 1 else sorted(got)) == list(range(100))


@pytest.mark.parametrize("name", ["_consume", "_consume_json", "_work_loop"])
def test_overridden_arrival_is_called(run: Run, name: str) -> None:
    """A class that overrides it, or an object on which it is replaced, takes no batches."""
    consumer = run(type("Own", (Recorder,), {name: lambda self, *rest: None}))
    other = run()
    setattr(other, name, mock.Mock())
    assert (consumer.takes_batches, other.takes_batches) == (False, False)
    setattr(other, name, lambda *_rest: None)
    delattr(other, name)


def test_consume_has_to_be_written(
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The log names the class."""
    base = type("Unwritten", (FedmsgConsumer,), {"config_key": "recorder"})
    assert run(base, **BLOCKING).hub.deliver("", "{}") is False
    assert "Unwritten must implement 'consume'" in caplog.text


def test_send_message_logs_failures(
    run: Run,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One error line, no exception."""
    consumer = run()
    consumer.hub.send_message = raising(OSError("gone"))
    consumer.send_message("t", {})
    consumer.hub.send_message = mock.Mock()
    consumer.send_message("t", {"a": 1})
    consumer.hub.send_message.assert_called_once_with("t", {"a": 1})
    assert [record.levelname for record in caplog.records if "Cannot send" in record.message] == [
        "ERROR"
    ]


def test_routing_key_is_the_topic(run: Run) -> None:
    """Of a message from AMQP."""
    consumer = run(start=False)
    header = SimpleNamespace(routing_key="from.amqp")
    consumer._consume_json(SimpleNamespace(headers=[header], body="{}"))
    assert consumer.incoming.get()["topic"] == "from.amqp"


def test_base_consumer_without_fedmsg() -> None:
    """Moksha's contract alone: nothing is checked, and the result is what arrived."""

    class Plain(Consumer):
        """A consumer of anything."""

        topic = "x"
        seen: list[Any]

        def consume(self, message: Any) -> None:
            """Keep it."""
            self.seen = [message]

    hub = FakeHub(**BLOCKING)
    consumer = Plain(hub)
    assert hub.deliver("x", "[1]") is True
    assert consumer.seen == [{"body": [1], "topic": "x"}]


def test_database(run: Run, tmp_path: Any) -> None:
    """``app`` gives an engine, and a session that is bound to it."""
    pytest.importorskip("sqlalchemy")
    consumer = run(type("App", (Recorder,), {"app": "mine"}), app_db=f"sqlite:///{tmp_path}/x.db")
    assert consumer.DBSession.get_bind() is consumer.engine
    consumer.engine.dispose()
