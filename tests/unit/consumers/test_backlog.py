"""What was missed, from a real HTTP server (consumers.md 6, CD-6 to CD-12)."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from archive import START, Archive, archived, live, status_of
from hubs import ON, FakeHub, Gate, Recorder, numbers

import fedmsg.consumers
from fedmsg.consumers import backlog

Run = Callable[..., Any]
Wait = Callable[..., Any]
BLOCKING = {"moksha.blocking_mode": True}


def test_every_page_once(
    restart: Run, archive: Archive, eventually: Wait, caplog: pytest.LogCaptureFixture, path: Path
) -> None:
    """In order; the last message of before is not consumed again; the progress is logged."""
    caplog.set_level(logging.INFO)
    archive.messages = [archived(n) for n in range(250)]
    consumer = restart()
    eventually(lambda: len(consumer.got) == 249)
    eventually(lambda: consumer._status.only is None)
    assert numbers(consumer) == list(range(1, 250))
    assert archive.pages() == [1, 2, 3]
    query = archive.queries[0]
    assert (query["rows_per_page"], query["start"], query["order"]) == (
        ["100"], [f"{START}.0"], ["asc"],
    )  # fmt: skip
    assert "page 3 of 3" in caplog.text
    assert "249 messages were missed" in caplog.text
    assert status_of(path) == (249, "post")


def test_shape(restart: Run, archive: Archive, eventually: Wait) -> None:
    """What the archive added is gone, so that signatures hold."""
    archive.messages = [archived(1), archived(2, headers={"a": "b"})]
    consumer = restart()
    eventually(lambda: len(consumer.got) == 2)
    assert consumer.got[0] == {
        "topic": "org.test.dev.mod.thing",
        "body": {
            "topic": "org.test.dev.mod.thing", "msg": {"n": 1}, "msg_id": "id-1", "i": 1,
            "timestamp": START + 1,
        },
    }  # fmt: skip
    assert consumer.got[1]["body"]["headers"] == {"a": "b"}
    assert isinstance(consumer.got[0]["body"]["timestamp"], int)


def test_raw_consumer(restart: Run, archive: Archive, eventually: Wait) -> None:
    """It gets the objects that it gets from the bus (CD-9)."""
    archive.messages = [archived(1)]
    consumer = restart(cls=type("Recorder", (Recorder,), {"jsonify": False}))
    eventually(lambda: consumer.got)
    (message,) = consumer.got
    assert (message.topic, json.loads(message.body)["msg"]) == ("org.test.dev.mod.thing", {"n": 1})


def test_blocking_mode(restart: Run, archive: Archive, eventually: Wait) -> None:
    """There are no workers; it is consumed all the same (CD-8)."""
    archive.messages = [archived(n) for n in range(5)]
    consumer = restart(**BLOCKING)
    eventually(lambda: numbers(consumer) == [1, 2, 3, 4])


@pytest.mark.parametrize(("skip", "first"), [(False, 0), (True, 1)])
def test_message_in_progress(
    restart: Run, archive: Archive, eventually: Wait, skip: bool, first: int
) -> None:
    """It is tried again, unless exactly that one is to be skipped (CD-10)."""
    archive.messages = [archived(n) for n in range(3)]
    consumer = restart(status="pre", skip_last_message=skip)
    eventually(lambda: len(consumer.got) == 3 - first)
    assert numbers(consumer) == list(range(first, 3))


@pytest.mark.parametrize(
    ("topic", "strict", "found", "asked"),
    [
        ("org.test.dev.a", False, [0, 1, 2], {}),
        ("org.test.dev.a.*", False, [1], {"category": ["a"]}),
        (["org.test.dev.a.x", "org.test.dev.ab.x*"], False, [1, 2], {"category": ["a", "ab"]}),
        ("org.test.dev.a.x", True, [1], {"topic": ["org.test.dev.a.x"]}),
        ("*", False, [0, 1, 2], {}),
    ],
)  # fmt: skip
def test_topics(
    restart: Run, archive: Archive, eventually: Wait, topic: Any, strict: bool, found: list[int],
    asked: dict[str, Any],
) -> None:  # fmt: skip
    """As live messages are matched (CD-6), and asked for as narrowly as can be (CD-7)."""
    topics = ["org.test.dev.ab", "org.test.dev.a.x", "org.test.dev.ab.xy"]
    archive.messages = [archived(n + 1, each) for n, each in enumerate(topics)]
    consumer = restart(cls=type("Recorder", (Recorder,), {"topic": topic}), zmq_strict=strict)
    eventually(lambda: consumer._seen.filled and not consumer.backlog)
    consumer.stop()
    eventually(lambda: [n - 1 for n in numbers(consumer)] == found)
    query = archive.queries[0]
    assert {key: query[key] for key in ("topic", "category") if key in query} == asked


def test_live_messages_are_not_doubled(
    restart: Run, archive: Archive, eventually: Wait, gate: Gate
) -> None:
    """Whichever copy comes first, and wherever the other one is (CD-12)."""
    archive.messages = [archived(n) for n in range(10)]
    answer, release = archive.answer, threading.Event()
    archive.answer = lambda query: release.wait(20) and answer(query)  # type: ignore
    consumer = restart()
    consumer.take([live(3), live(4)])
    eventually(lambda: len(consumer.got) == 2)
    consumer.act = gate
    release.set()
    assert gate.reached.wait(20)
    eventually(lambda: consumer._seen.filled)
    consumer.take([live(5), live(9), live(10)])
    gate.open()
    eventually(lambda: len(consumer.got) == 10)
    eventually(lambda: not consumer.backlog)
    assert numbers(consumer) == [3, 4, 1, 2, 5, 6, 7, 8, 9, 10]


def test_live_messages_do_not_move_the_status_past_the_backlog(
    restart: Run, archive: Archive, eventually: Wait, path: Path, gate: Gate
) -> None:
    """Else a crash in the middle would lose the rest of it."""
    archive.messages = [archived(n) for n in range(5)]
    consumer = restart(**{"moksha.workers_per_consumer": 2})
    consumer.act = lambda message: message["body"]["msg"]["n"] == 1 and gate(message)
    assert gate.reached.wait(20)
    consumer.take([live(9)])
    eventually(lambda: len(consumer.got) == 5)
    assert status_of(path) == (1, "pre")
    gate.open()
    eventually(lambda: consumer._status.only is None)
    consumer.take([live(10)])
    eventually(lambda: status_of(path) == (10, "post"))


def test_changed_messages_do_not_hold_the_status(
    restart: Run, archive: Archive, eventually: Wait, path: Path
) -> None:
    """A consumer may do to a message what it wants, even take its id away."""
    archive.messages = [archived(n) for n in range(3)]
    consumer = restart()
    consumer.act = lambda message: message["body"].pop("msg_id")
    eventually(lambda: consumer._status.only is None)
    consumer.take([live(10)])
    eventually(lambda: status_of(path) == (10, "post"))


def test_invalid_messages_do_not_hold_the_status(
    restart: Run, archive: Archive, eventually: Wait, path: Path
) -> None:
    """Those of the backlog are validated like all others."""
    archive.messages = [archived(n) for n in range(3)]
    with mock.patch("fedmsg.consumers.fedmsg.crypto.validate", return_value=False) as check:
        consumer = restart(cls=type("Recorder", (Recorder,), {"validate_signatures": True}))
        eventually(lambda: consumer._status.only is None)
        assert check.call_count == 2
    assert (consumer.got, status_of(path)) == ([], (0, "post"))


def test_first_start(run: Run, archive: Archive, tmp_path: Path, caplog: Any) -> None:
    """No file: nothing is asked for."""
    caplog.set_level(logging.INFO)
    run(status_directory=str(tmp_path / "s"), datagrepper_url=archive.url)
    assert archive.queries == []
    assert "no backlog: " in caplog.text


def test_switched_off(restart: Run, archive: Archive, path: Path, eventually: Wait) -> None:
    """Nothing is asked for, and the status goes on."""
    consumer = restart(backlog=False)
    consumer.take([live(9)])
    eventually(lambda: status_of(path) == (9, "post"))
    assert archive.queries == []


def test_applications_replace_the_query() -> None:
    """Called by hand without a hub that runs, it fills the queue with what validates."""
    hub = FakeHub(**ON, backlog_max_age=10**10)
    consumer = Recorder(hub)
    replaced = mock.Mock(return_value=[archived(1), archived(2)])
    consumer.get_datagrepper_results = replaced  # type: ignore[method-assign]
    consumer._backlog(
        json.dumps({"message": {"topic": "t", "body": archived(0)}, "status": "post"})
    )
    replaced.assert_called_once_with(START, mock.ANY)
    found = [consumer.incoming.get(timeout=5) for _ in range(2)]
    for message in found:
        consumer.validate(message)
    assert [message["body"]["msg_id"] for message in found] == ["id-1", "id-2"]


def test_requests_are_replaced_in_the_package() -> None:
    """As applications' tests do."""
    with mock.patch("fedmsg.consumers.requests") as requests:
        requests.Session.side_effect = OSError("replaced")
        with pytest.raises(OSError, match="replaced"):
            next(backlog.pages("http://x", 0, 1, [], threading.Event(), logging.getLogger()))
    assert fedmsg.consumers.requests is backlog.requests


def test_consumers_of_the_same_topics_share_the_pages(
    restart: Run, archive: Archive, eventually: Wait, gate: Gate
) -> None:
    """Each page is fetched once; nobody gets what is older, or what another one has changed."""
    archive.messages = [archived(n) for n in range(250)]
    answer = archive.answer
    archive.answer = lambda query: (gate(), answer(query))[1]  # type: ignore[method-assign]
    first = restart()
    first.act = lambda message: message["body"]["msg"].update(n=-1)
    assert gate.reached.wait(20)
    found = first.get_datagrepper_results(START + 100.0, START + 900.0)
    threading.Timer(0.0, gate.open).start()
    assert [message["msg"]["n"] for message in found] == list(range(100, 250))
    eventually(lambda: len(first.got) == 249)
    assert archive.pages() == [1, 2, 3]


def test_other_spans_are_fetched_apart(archive: Archive) -> None:
    """Who missed far less than another one does not wait for all that it gets."""
    archive.messages = [archived(n) for n in range(3)]
    first, second, third = (
        backlog.pages(archive.url, then, START + 9000.0, [], threading.Event(), logging.getLogger())
        for then in (START, START + 4000.0, START - 1.0)
    )
    assert next(first)["msg"]["n"] == 0
    assert [len(list(each)) for each in (second, third, first)] == [0, 3, 2]
    asked = [float(query["start"][0]) - START for query in archive.queries]
    assert asked == [0.0, 4000.0, -1.0]


def test_failed_download_is_tried_by_the_next(
    archive: Archive,
) -> None:
    """A consumer that gives up, or is stopped, takes the page from nobody."""
    archive.messages = [archived(n) for n in range(3)]
    archive.failures = [404]
    first, second = (
        backlog.pages(archive.url, START, START + 9.0, [], threading.Event(), logging.getLogger())
        for _ in range(2)
    )
    with pytest.raises(backlog.BacklogError):
        next(first)
    assert len(list(second)) == 3
