"""A forwarder that changes messages: in order, side by side, and no failure stops it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from parts import join

from fedmsg.transports.transforming import TransformingForwarder
from fedmsg.transports.zeromq import SocketOptions

Line = Callable[..., tuple[TransformingForwarder, Any, Any]]


@pytest.fixture
def line(address: Callable[[], str], feeder: Any, subscriber: Any) -> Iterator[Line]:
    """A function that starts a forwarder; returns it with a publisher and a joined subscriber."""
    started: list[TransformingForwarder] = []

    def start(transform: Any) -> tuple[TransformingForwarder, Any, Any]:
        inbound, outbound = address(), address()
        made = TransformingForwarder(transform, [inbound], outbound, SocketOptions())
        made.open()
        made.start()
        started.append(made)
        pub, sub = feeder(inbound), subscriber(outbound)
        join(lambda text: pub.send_multipart([b"probe", text]), sub)
        return made, pub, sub

    yield start
    for each in started:
        assert each.stop(1.0)


def test_what_the_function_returns_is_sent(line: Line) -> None:
    """Its argument are the frames as they came."""
    _, pub, sub = line(lambda frames: frames if frames[0] == b"probe" else [*frames, b"seen"])
    pub.send_multipart([b"t", b"\xff"])
    assert sub.receive() == [b"t", b"\xff", b"seen"]


@pytest.mark.skipif(os.cpu_count() == 1, reason="one core: one thread, and nothing can overtake")
def test_order_is_kept(line: Line) -> None:
    """A message that is done before the one that came first waits for it."""
    second_done = threading.Event()

    def transform(frames: list[bytes]) -> list[bytes]:
        if frames[-1] == b"first":
            assert second_done.wait(20)
        elif frames[-1] == b"second":
            second_done.set()
        return frames

    _, pub, sub = line(transform)
    pub.send_multipart([b"t", b"first"])
    pub.send_multipart([b"t", b"second"])
    assert [sub.receive()[1], sub.receive()[1]] == [b"first", b"second"]


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_failure_drops_one_message(line: Line, caplog: Any, error: type[BaseException]) -> None:
    """It is counted and logged with its reason; the next one is sent."""

    def transform(frames: list[bytes]) -> list[bytes]:
        if frames[-1] == b"bad":
            raise error("no good")
        return frames

    made, pub, sub = line(transform)
    before = made.counts()
    pub.send_multipart([b"t", b"bad"])
    pub.send_multipart([b"t", b"good"])
    assert sub.receive() == [b"t", b"good"]
    after = made.counts()
    gained = [after[index] - before[index] for index in (0, 1, 3)]
    assert gained == [2, 1, 1]
    assert made.dropped_by == {error.__name__: 1}
    assert "no good" in caplog.text


def test_little_is_taken_in_advance(line: Line, eventually: Any) -> None:
    """However many messages wait behind one that takes long, only a few are in hand."""
    go, waiting = threading.Event(), threading.Event()

    def transform(frames: list[bytes]) -> list[bytes]:
        if frames == [b"t", b"0"]:
            waiting.set()
            assert go.wait(20)
        return frames

    made, pub, sub = line(transform)
    try:
        for number in range(500):
            pub.send_multipart([b"t", b"%d" % number])
        assert waiting.wait(20)
        eventually(lambda: made.pending == made._most or made._threads == 1, "a full order")
        assert not sub.socket.poll(50)
        assert made.pending <= made._most
    finally:
        go.set()
    assert [sub.receive()[1] for _ in range(500)] == [b"%d" % number for number in range(500)]


def test_failure_of_a_socket_ends_it(line: Line, eventually: Any, monkeypatch: Any) -> None:
    """Whichever thread meets it: nothing is forwarded by half."""
    made, pub, _ = line(lambda frames: frames)
    broken = OSError("the socket is broken")

    def fail() -> None:
        raise broken

    monkeypatch.setattr(made, "_is_stopped", fail)
    pub.send_multipart([b"t", b"1"])
    eventually(lambda: not made.running, "the end")
    assert made.error is broken


def test_stop_delivers_what_has_arrived(line: Line) -> None:
    """A burst that is on its way when the forwarder is told to stop still comes out."""
    made, pub, sub = line(lambda frames: frames)
    for number in range(5000):
        pub.send_multipart([b"t", b"%d" % number])
    assert made.stop(20.0)
    assert [sub.receive()[1] for _ in range(5000)] == [b"%d" % number for number in range(5000)]
