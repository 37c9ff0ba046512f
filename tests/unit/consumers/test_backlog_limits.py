"""A backlog that cannot be fetched, or not all of it (CD-7, CD-11)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from archive import START, Archive, archived, live, status_of
from hubs import Gate, numbers

Run = Callable[..., Any]
Wait = Callable[..., Any]


@pytest.mark.parametrize("failure", [503, 429, "not json", "[]", '{"pages": "x"}', "[" * 100_000])
def test_failures_are_tried_again(
    restart: Run, archive: Archive, eventually: Wait, failure: Any
) -> None:
    """A page at a time."""
    archive.messages = [archived(n) for n in range(3)]
    archive.failures = [failure, failure]
    consumer = restart()
    eventually(lambda: numbers(consumer) == [1, 2])
    assert archive.pages() == [1, 1, 1]


@pytest.mark.parametrize(("failures", "asked"), [([500] * 5, 5), ([404], 1)])
def test_giving_up(
    restart: Run, archive: Archive, eventually: Wait, path: Path, failures: list[Any], asked: int,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Logged; live messages are consumed, and the next start begins where this one did."""
    archive.messages = [archived(n) for n in range(3)]
    archive.failures = failures
    consumer = restart()
    eventually(lambda: "the backlog is not complete" in caplog.text)
    consumer.take([live(9)])
    eventually(lambda: len(consumer._times) == 1)
    assert (numbers(consumer), status_of(path)) == ([9], (0, "post"))
    assert len(archive.queries) == asked


def test_nobody_listens(restart: Run, eventually: Wait, caplog: Any) -> None:
    """A refused connection is a failure like others."""
    restart(datagrepper_url="http://127.0.0.1:9/raw")
    eventually(lambda: "the backlog is not complete" in caplog.text)


def test_limits(
    restart: Run, archive: Archive, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """In number; what is beyond is reported."""
    archive.messages = [archived(n) for n in range(50)]
    consumer = restart(backlog_limit=10)
    eventually(lambda: consumer._status.only is None)
    eventually(lambda: numbers(consumer) == list(range(1, 11)))
    assert "more than backlog_limit (10) allows" in caplog.text


def test_age(restart: Run, archive: Archive, eventually: Wait, caplog: Any) -> None:
    """What is too old is not asked for, and that is said."""
    consumer = restart(backlog_max_age=60)
    eventually(lambda: consumer._seen.filled)
    (query,) = archive.queries
    assert int(query["end"][0]) - int(query["start"][0]) == 60
    assert "nothing older than backlog_max_age" in caplog.text


def test_queue_limit(restart: Run, archive: Archive, eventually: Wait, gate: Gate) -> None:
    """It waits for room, and drops nothing."""
    archive.messages = [archived(n) for n in range(20)]
    consumer = restart(queue_limit=3)
    consumer.act = gate
    assert gate.reached.wait(20)
    eventually(lambda: consumer.incoming.qsize() == 3)
    gate.open()
    eventually(lambda: numbers(consumer) == list(range(1, 20)))
    assert consumer.dropped == 0


@pytest.mark.parametrize("broken", [None, 5, {}, {"topic": 5}, {"topic": "org.test", "msg_id": []}])
def test_what_is_no_message(restart: Run, archive: Archive, eventually: Wait, broken: Any) -> None:
    """It is passed over."""
    archive.messages = [broken, archived(1)]
    consumer = restart()
    eventually(lambda: numbers(consumer) == [1])


def test_garbage_in_the_status_file(
    restart: Run, archive: Archive, eventually: Wait, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the time of the file stands for that of the message (CD-11)."""
    caplog.set_level(logging.INFO)
    archive.messages = [archived(-1), archived(10)]
    consumer = restart(text="{torn")
    eventually(lambda: numbers(consumer) == [10])
    assert "the status file is not JSON: {torn" in caplog.text
    assert archive.queries[0]["start"] == [f"{START}.0"]


def test_stop_ends_it(restart: Run, archive: Archive, eventually: Wait, path: Path) -> None:
    """In the middle of a page; the status is that of what has been consumed."""
    archive.messages = [archived(n) for n in range(150)]
    consumer = restart(queue_limit=1)
    consumer.act = lambda message: message["body"]["msg"]["n"] == 5 and consumer._stopping.set()
    eventually(lambda: not consumer._threads._running[-1].is_alive())
    assert (archive.pages(), consumer._seen.filled) == ([1], False)
    consumer._stopping.clear()
