"""Work that waits until no more has come for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fedmsg.commands import batches
from fedmsg.commands.batches import Batches

LONG = 3600.0


class Work:
    """A function that keeps what it is given, and can be held up."""

    def __init__(self) -> None:
        self.done: list[bytes] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def __call__(self, item: bytes) -> None:
        self.began.set()
        assert self.go_on.wait(20)
        self.done.append(item)


@pytest.fixture
def work() -> Iterator[Work]:
    """Work that goes on at the latest when the test ends."""
    made = Work()
    yield made
    made.go_on.set()


@pytest.fixture
def start(work: Work) -> Iterator[Callable[..., Batches]]:
    """A function that makes batches; they are closed with the test."""
    made: list[Batches] = []

    def make(*arguments: Any) -> Batches:
        made.append(Batches(work, *arguments))
        return made[-1]

    yield make
    work.go_on.set()
    for each in made:
        each.close()


def test_without_delay_at_once(
    start: Callable[..., Batches], work: Work, eventually: Callable[..., Any]
) -> None:
    """In the order in which they came, while more come."""
    started = start()
    for number in range(1000):
        started.add(b"%d" % number)
    eventually(lambda: len(work.done) == 1000)
    assert work.done == [b"%d" % number for number in range(1000)]


def test_two_within_the_delay(
    start: Callable[..., Batches], work: Work, eventually: Callable[..., Any]
) -> None:
    """Both are worked off: the second starts the delay anew and loses nothing."""
    started = start(0.2)
    started.add(b"1")
    started.add(b"2")
    eventually(lambda: work.done == [b"1", b"2"])


def test_delay_starts_anew(
    start: Callable[..., Batches], work: Work, eventually: Callable[..., Any]
) -> None:
    """After a batch the next items wait again."""
    started = start(0.05)
    started.add(b"1")
    eventually(lambda: work.done == [b"1"])
    started.add(b"2")
    eventually(lambda: work.done == [b"1", b"2"])


def test_too_many_do_not_wait(
    start: Callable[..., Batches], work: Work, eventually: Callable[..., Any]
) -> None:
    """One more than the limit, and all are worked off; as many as the limit wait."""
    started = start(LONG, 3)
    for number in range(4):
        started.add(b"%d" % number)
    eventually(lambda: len(work.done) == 4)
    started.add(b"4")
    assert started.close() == 1
    assert len(work.done) == 4


def test_close_drops_what_waits(start: Callable[..., Batches], work: Work) -> None:
    """And says how many."""
    started = start(LONG)
    for _ in range(5):
        started.add(b"x")
    assert started.close() == 5
    assert work.done == []


def test_close_waits_for_what_runs(start: Callable[..., Batches], work: Work) -> None:
    """The rest of its batch is dropped."""
    work.go_on.clear()
    started = start(LONG, 2)
    for number in range(3):
        started.add(b"%d" % number)
    assert work.began.wait(20)
    dropped: list[int] = []
    closing = threading.Thread(target=lambda: dropped.append(started.close()))
    closing.start()
    assert work.done == dropped == []
    while not started._closed:
        closing.join(0.01)
    work.go_on.set()
    closing.join(20)
    assert (work.done, dropped) == ([b"0"], [2])


def test_failure_does_not_end_it(
    eventually: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged, and the next item worked off."""
    done: list[bytes] = []

    def fail(item: bytes) -> None:
        done.append(item)
        raise RuntimeError("of the test")

    started = Batches(fail)
    started.add(b"1")
    started.add(b"2")
    eventually(lambda: len(done) == 2)
    started.close()
    assert caplog.text.count("RuntimeError: of the test") == 2


@pytest.mark.parametrize(("items", "size"), [(5, 1 << 20), (10_000, 100)])
def test_what_waits_is_bounded(
    start: Callable[..., Batches], work: Work, monkeypatch: pytest.MonkeyPatch, items: int,
    size: int, caplog: pytest.LogCaptureFixture, eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """By number and by bytes; what is dropped is counted, and warned about once a minute."""
    monkeypatch.setattr(batches, "MOST_ITEMS", items)
    monkeypatch.setattr(batches, "MOST_BYTES", size)
    work.go_on.clear()
    started = start()
    started.add(b"first")
    assert work.began.wait(20)
    for _ in range(100):
        started.add(b"x" * 30)
    assert started.dropped == 100 - (5 if items == 5 else 4)
    assert caplog.text.count("dropped so far") == 1
    work.go_on.set()
    eventually(lambda: len(work.done) == 101 - started.dropped)


def test_waiting_for_calm_is_bounded(
    start: Callable[..., Batches], work: Work, monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """A bus that never calms down does not fill the memory: they are worked off earlier."""
    monkeypatch.setattr(batches, "MOST_BYTES", 1000)
    started = start(LONG)
    for number in range(11):
        started.add(b"x" * 100)
        eventually(lambda: started._inbox.empty())  # noqa: B023
        assert number == 10 or work.done == []
    eventually(lambda: len(work.done) == 11)
    assert started.dropped == 0


def test_bytes_that_were_worked_off_do_not_count(
    start: Callable[..., Batches], work: Work, monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """The bound is on what waits, not on all that has ever come."""
    monkeypatch.setattr(batches, "MOST_BYTES", 100)
    started = start()
    for number in range(20):
        started.add(b"x" * 30)
        eventually(lambda: len(work.done) == number + 1)  # noqa: B023
    assert started.dropped == 0
