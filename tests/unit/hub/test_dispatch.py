"""From frames to receivers (consumers.md 5)."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hubs import FakeHub, Recorder, frames, numbered, numbers, raising

from fedmsg.hub.dispatch import Dispatcher, Route

Frames = list[list[bytes]]


class Receiver:
    """Keeps the topics of what it is called with."""

    def __init__(self) -> None:
        self.topics: list[str] = []

    def __call__(self, message: Any) -> None:
        self.topics.append(message.topic)


def heard(patterns: list[str], topics: list[str], strict: bool = False) -> list[str]:
    """Return which of the topics a receiver of the patterns gets."""
    dispatcher, receiver = Dispatcher(strict), Receiver()
    for pattern in patterns:
        dispatcher.subscribe(pattern, receiver)
    dispatcher.dispatch([frames(topic, "{}") for topic in topics])
    return receiver.topics


TOPICS = ["a.b", "a.bc", "a.b.c", "b.a", "é.b"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.b", ["a.b", "a.bc", "a.b.c"]), ("a.b.*", ["a.b.c"]), ("a.*.c", []), ("*", TOPICS),
        ("", TOPICS), ("*a", ["a.b", "a.bc", "a.b.c"]), ("é", ["é.b"]),
    ],
)  # fmt: skip
def test_prefixes(pattern: str, found: list[str]) -> None:
    """Every star is ignored; the rest is how topics begin."""
    assert heard([pattern], TOPICS) == found


@pytest.mark.parametrize(
    ("pattern", "found"), [("a.b", ["a.b"]), ("a.b*", ["a.b"]), ("a.*", []), ("*", [])]
)
def test_strict(pattern: str, found: list[str]) -> None:
    """Topics must be equal to the pattern without stars."""
    assert heard([pattern], TOPICS, strict=True) == found


def test_overlapping_patterns_deliver_once() -> None:
    """CD-4."""
    assert heard(["a", "a.b", "*"], ["a.b"]) == ["a.b"]


def test_subscriptions_are_what_is_needed() -> None:
    """Everything, or each prefix once."""
    dispatcher, first, second = Dispatcher(), Receiver(), Receiver()
    dispatcher.subscribe("b*", first)
    dispatcher.subscribe("a", second)
    dispatcher.subscribe("b", second)
    assert dispatcher.prefixes() == [b"a", b"b"]
    dispatcher.subscribe("*", first)
    assert dispatcher.prefixes() == [b""]
    dispatcher.unsubscribe(first)
    dispatcher.unsubscribe(first)
    assert (dispatcher.prefixes(), dispatcher.callbacks()) == ([b"a", b"b"], [second])


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_receivers_are_isolated(error: BaseException) -> None:
    """What one raises does not keep messages from the others (HD-14, CD-3)."""
    dispatcher, receiver = Dispatcher(), Receiver()
    dispatcher.subscribe("", raising(error))
    dispatcher.subscribe("", receiver)
    dispatcher.dispatch([frames("a", "{}"), frames("b", "{}")])
    assert receiver.topics == ["a", "b"]


def test_route_without_patterns_wants_nothing() -> None:
    """It is seen by the thread that receives before its first pattern is there."""
    for strict in (False, True):
        route = Route(Receiver(), strict, lambda reason, frames: None)
        assert route.select([frames("a", "{}")]) == []


def test_pattern_that_utf8_cannot_express() -> None:
    """An error for who asks, and for nobody else."""
    dispatcher, receiver = Dispatcher(), Receiver()
    dispatcher.subscribe("a", receiver)
    for each in (receiver, Receiver()):
        with pytest.raises(UnicodeEncodeError):
            dispatcher.subscribe("\ud800", each)
    assert (dispatcher.prefixes(), dispatcher.callbacks()) == ([b"a"], [receiver])


def test_old_form_of_one_frame() -> None:
    """Topic and body with a NUL between them."""
    dispatcher, receiver = Dispatcher(), Receiver()
    dispatcher.subscribe("", receiver)
    dispatcher.dispatch([[b"a.b\0{}"]])
    assert receiver.topics == ["a.b"]


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ([b"a"], "wrong number of frames"),
        ([b"a", b"{}", b"x"], "wrong number of frames"),
        ([], "wrong number of frames"),
        ([b"\xff", b"{}"], "topic is not UTF-8"),
        ([b"a\nfake", b"{}"], "topic has control characters"),
        ([b"a\xc2\x9b", b"{}"], "topic has control characters"),
        ([b"a", b"\xff"], "body is not UTF-8"),
        ([b"a", b"x" * 101], "frame too large"),
        ([b"a" * 101, b"{}"], "frame too large"),
    ],
)
def test_hostile_frames_are_counted(hostile: list[bytes], reason: str) -> None:
    """By their reason; what follows arrives."""
    dispatcher, receiver = Dispatcher(max_size=100), Receiver()
    dispatcher.subscribe("", receiver)
    dispatcher.dispatch([hostile, frames("good", "{}")])
    assert (dict(dispatcher.rejected), receiver.topics) == ({reason: 1}, ["good"])


def test_reports_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Sixty a minute, whatever comes."""
    dispatcher = Dispatcher()
    dispatcher.dispatch([[b"x"]] * 10_000)
    assert (len(caplog.records), dispatcher.rejected.total()) == (60, 10_000)


def test_subscribing_while_messages_come(eventually: Callable[..., Any]) -> None:
    """From other threads, at any moment."""
    dispatcher, stop = Dispatcher(), threading.Event()
    errors: list[BaseException] = []

    def feed() -> None:
        try:
            while not stop.is_set():
                dispatcher.dispatch([frames("a", "{}")])
        except BaseException as error:
            errors.append(error)

    feeder = threading.Thread(target=feed)
    feeder.start()
    for _ in range(2000):
        receiver = Receiver()
        dispatcher.subscribe("a", receiver)
        dispatcher.unsubscribe(receiver)
    stop.set()
    feeder.join(20)
    assert errors == []


HOSTILE = [
    lambda r: [r.randbytes(r.randrange(30)) for _ in range(r.randrange(4))],
    lambda r: [b"org.test", r.randbytes(r.randrange(60))],
    lambda r: [b"org.test", b"[" * r.choice([1, 9, 70] * 8 + [3000])],
    lambda r: [b"org.test", b'{"topic": ' + b'{"a":' * r.choice([1, 9, 70] * 8 + [700])],
    lambda r: [b"org.test", r.choice([b"NaN", b"1e999", b"-", b'"\\ud800"', b"9" * 5000, b"{}"])],
    lambda r: [b"org.test", b'{"topic": [], "msg": {"n": "x"}, "msg_id": {}}'],
    lambda r: [b"org.test\x00\xc2\x9b", b"{}"],
]


@pytest.mark.trial
@pytest.mark.timeout(600)
def test_hostile_flood() -> None:
    """100,000 hostile frames, a million in a soak: each is counted, and good ones come through."""
    seconds = float(os.environ.get("FEDMSG_TRIAL_SECONDS", 10))
    generator = random.Random(5)
    consumer = Recorder(FakeHub(recorder=True, validate_signatures=False, queue_limit=0))
    raw = type("Raw", (Recorder,), {"jsonify": False})(consumer.hub)
    dispatcher = Dispatcher(max_size=4000)
    for each in (consumer, raw):
        dispatcher.subscribe("", each._consume_json if each.jsonify else each._consume)
        each.act = lambda message, each=each: each.got.clear() if len(each.got) > 1000 else None
        each.start_workers()
    sent, wanted, pause = 0, min(max(10, seconds), 100) * 10_000, threading.Event()
    while sent < wanted:
        burst = [generator.choice(HOSTILE)(generator) for _ in range(1000)]
        dispatcher.dispatch(burst)
        sent += len(burst)
        while consumer.backlog + raw.backlog > 100_000:  # as a queue with a limit would hold it up
            pause.wait(0.01)
    consumer.act = raw.act = lambda message: None
    dispatcher.dispatch(numbered(3))
    for each in (consumer, raw):
        each.stop()
        assert each.wait_stopped(time.monotonic() + 120) == 0
        assert (each.headcount_in, each.dropped) == (dispatcher.received, 0)
    assert dispatcher.received + dispatcher.rejected.total() == sent + 3
    consumer.got = consumer.got[-3:]
    assert numbers(consumer) == [0, 1, 2]
    assert [message.topic for message in raw.got[-3:]] == ["org.test"] * 3
