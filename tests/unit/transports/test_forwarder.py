"""The forwarder: bytes pass unchanged, nothing is lost at the end, overflows are counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from parts import join

from fedmsg.exceptions import ConfigurationError, NoEndpointAvailable
from fedmsg.transports.forwarder import Forwarder
from fedmsg.transports.zeromq import SocketOptions

Make = Callable[..., tuple[Forwarder, str, str]]


@pytest.fixture
def forwarder(address: Callable[[], str]) -> Iterator[Make]:
    """A function that starts a forwarder and returns it with its two addresses."""
    started: list[Forwarder] = []

    def start(limit: int = 0, inbound: str = "", outbound: str = "") -> tuple[Forwarder, str, str]:
        inbound, outbound = inbound or address(), outbound or address()
        new = Forwarder([inbound], outbound, SocketOptions(high_water_mark=limit))
        new.open()
        new.start()
        started.append(new)
        return new, inbound, outbound

    yield start
    for each in started:
        assert each.stop(0.0)


@pytest.mark.parametrize("limit", [0, 100_000])
@pytest.mark.parametrize("body", [b"\xff\x00 not utf-8", b'{ "b" : 1 }', b""])
def test_bytes_pass_unchanged(
    forwarder: Make, feeder: Any, subscriber: Any, limit: int, body: bytes
) -> None:
    """Nothing is decoded or encoded again, with either engine."""
    _, inbound, outbound = forwarder(limit)
    pub, sub = feeder(inbound), subscriber(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    pub.send_multipart([b"\xc3\xbc", body])
    assert sub.receive() == [b"\xc3\xbc", body]


@pytest.mark.parametrize("limit", [0, 100_000])
def test_any_number_of_frames_passes(
    forwarder: Make, feeder: Any, subscriber: Any, limit: int
) -> None:
    """Messages of one, two and more frames arrive as they were sent, in order."""
    _, inbound, outbound = forwarder(limit)
    pub, sub = feeder(inbound), subscriber(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    sent = [[b"1"], [b"2", b""], [b"3", b"", b"c"], [b"4"], [b"5", b"b", b"c", b"d"], [b"6", b"b"]]
    for frames in sent:
        pub.send_multipart(frames)
    assert [sub.receive() for _ in sent] == sent


@pytest.mark.parametrize("limit", [0, 100_000])
def test_messages_are_counted(forwarder: Make, feeder: Any, subscriber: Any, limit: int) -> None:
    """The counters are messages, not frames."""
    engine, inbound, outbound = forwarder(limit)
    pub, sub = feeder(inbound), subscriber(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    before = engine.counts().received
    for _ in range(100):
        pub.send_multipart([b"t", b"x"])
    for _ in range(100):
        sub.receive()
    assert engine.counts().received - before == 100


@pytest.mark.parametrize("limit", [0, 100_000])
def test_stop_delivers_what_has_arrived(
    forwarder: Make, feeder: Any, subscriber: Any, limit: int
) -> None:
    """A burst that is on its way when the forwarder is told to stop still comes out."""
    engine, inbound, outbound = forwarder(limit)
    pub, sub = feeder(inbound), subscriber(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    for number in range(20_000):
        pub.send_multipart([b"t", b"%d" % number])
    assert engine.stop(20.0)
    assert [sub.receive()[1] for _ in range(20_000)] == [b"%d" % n for n in range(20_000)]


def test_a_stalled_subscriber_slows_nobody(
    forwarder: Make, feeder: Any, subscriber: Any, zmq_context: zmq.Context[Any]
) -> None:
    """With a limit its overflow is counted, and the others receive every message."""
    engine, inbound, outbound = forwarder(limit=50)
    pub, sub = feeder(inbound), subscriber(outbound)
    stalled: zmq.Socket[bytes] = zmq_context.socket(zmq.SUB)
    stalled.setsockopt(zmq.RCVHWM, 1)
    stalled.setsockopt(zmq.RCVBUF, 4096)
    stalled.setsockopt(zmq.SUBSCRIBE, b"big")
    stalled.connect(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    join(lambda text: pub.send_multipart([b"big", text]), _Either(stalled, sub))
    received = 0
    for _ in range(1000):
        pub.send_multipart([b"big", b"x" * 20_000])
        received += int(sub.receive()[0] == b"big")
    assert (received, engine.counts().overflows > 0) == (1000, True)


class _Either:
    """Waits for the stalled subscriber to have joined, reading from the healthy one."""

    def __init__(self, stalled: Any, sub: Any) -> None:
        self.socket, self._sub = stalled, sub

    def receive(self) -> list[bytes]:
        frames: list[bytes] = self._sub.receive()
        return frames


def test_a_stalled_subscriber_gets_its_whole_queue(
    forwarder: Make, feeder: Any, zmq_context: zmq.Context[Any], eventually: Any
) -> None:
    """With a limit of 400, 400 messages wait for it, though it has taken some others before."""
    engine, inbound, outbound = forwarder(limit=400)
    pub, idle = feeder(inbound), zmq_context.socket(zmq.SUB)
    for option, value in ((zmq.RCVHWM, 1), (zmq.RCVBUF, 65536), (zmq.SUBSCRIBE, b"")):
        idle.setsockopt(option, value)
    idle.connect(outbound)
    while not idle.poll(20):
        pub.send_multipart([b"probe", b""])
    # Large: the kernel holds few of them.
    sent = [b"%d" % number for number in range(460)]
    for number in sent[:60]:
        pub.send_multipart([number, bytes(65536)])
    got: list[bytes] = []
    while got[-1:] != sent[59:60]:
        assert idle.poll(10_000)
        got.append(idle.recv_multipart()[0])
    for number in sent[60:]:
        pub.send_multipart([number, bytes(65536)])
    eventually(lambda: engine.counts().sent >= len(sent), "forwarding")
    while got[-1] != sent[-1] and idle.poll(2000):
        got.append(idle.recv_multipart()[0])
    assert [number for number in got if number != b"probe"] == sent
    assert engine.counts().overflows == 0


def test_inbound_taken_is_an_error_that_names_it(
    forwarder: Make, address: Callable[[], str]
) -> None:
    """A relay that cannot listen must not start."""
    _, inbound, _ = forwarder()
    with pytest.raises(NoEndpointAvailable, match=inbound):
        Forwarder([inbound], address(), SocketOptions()).open()


def test_outbound_taken_is_a_zmq_error(forwarder: Make, address: Callable[[], str]) -> None:
    """The command tries the next address then."""
    _, _, outbound = forwarder()
    with pytest.raises(zmq.ZMQError):
        Forwarder([address()], outbound, SocketOptions()).open()


def test_failed_open_releases_the_ports(forwarder: Make, address: Callable[[], str]) -> None:
    """What was bound before the failure can be bound again."""
    _, _, outbound = forwarder()
    inbound = address()
    with pytest.raises(zmq.ZMQError):
        Forwarder([inbound], outbound, SocketOptions()).open()
    assert forwarder(inbound=inbound)[0].running


def test_a_wildcard_can_be_bound(forwarder: Make, port: Callable[[], int], feeder: Any) -> None:
    """``tcp://*:port`` listens on every interface."""
    number = port()
    forwarder(inbound=f"tcp://*:{number}")
    assert feeder(f"tcp://127.0.0.1:{number}")


def test_an_unknown_host_is_a_configuration_error(address: Callable[[], str]) -> None:
    """The text names the host."""
    with pytest.raises(ConfigurationError, match="no-such-host.invalid"):
        Forwarder(["tcp://no-such-host.invalid:1"], address(), SocketOptions()).open()


@pytest.mark.parametrize("limit", [0, 100_000])
def test_an_idle_forwarder_does_nothing(
    forwarder: Make, feeder: Any, subscriber: Any, limit: int
) -> None:
    """With peers connected and nothing to forward it uses no processor time."""
    _, inbound, outbound = forwarder(limit)
    pub, sub = feeder(inbound), subscriber(outbound)
    join(lambda text: pub.send_multipart([b"t", text]), sub)
    before = time.process_time()
    threading.Event().wait(1.0)
    assert time.process_time() - before < 0.5
