"""The relay as a process, against ``zmq.proxy`` in a process of its own."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import zmq

from .measure import (
    DEADLINE,
    Result,
    compare,
    drain,
    free_address,
    interleave,
    peak_memory,
    process,
    receive,
    sockets,
)
from .tailing import burst

_RELAY = "from fedmsg.commands.relay import relay; raise SystemExit(relay())"
_PROXY = """
import sys, zmq
context = zmq.Context()
sub, pub = context.socket(zmq.SUB), context.socket(zmq.PUB)
sub.setsockopt(zmq.SUBSCRIBE, b"")
pub.setsockopt(zmq.SNDHWM, 0)
sub.bind(sys.argv[1])
pub.bind(sys.argv[2])
zmq.proxy(sub, pub)
"""
#: A message that ends a join.
_PROBE = [b"org.fedoraproject.dev.benchmarks.probe", b"{}"]
#: A stalled subscriber takes nothing within this time, seconds; what is lost is lost by then.
_QUIET = 2.0


class Link:
    """A process that relays, a publisher that sends to it and a subscriber that hears it.

    Args:
        program: Python source of the process; its arguments follow.
    """

    def __init__(
        self, stack: ExitStack, program: str, arguments: list[str], inbound: str, outbound: str
    ) -> None:
        self.process = stack.enter_context(running(program, arguments))
        make = stack.enter_context(contextmanager(sockets)())
        self.outbound = outbound
        self.publisher = make(zmq.XPUB, {})
        self.publisher.connect(inbound)
        self.subscriber = make(zmq.SUB, {zmq.SUBSCRIBE: b""})
        self.subscriber.connect(outbound)
        if not self.publisher.poll(int(DEADLINE * 1000)):
            raise TimeoutError("the relay did not subscribe")
        self.publisher.recv()
        self.join(self.subscriber)

    def join(self, sock: zmq.Socket[bytes]) -> None:
        """Send probes until one reaches the socket.

        Raises:
            TimeoutError: none does.
        """
        for _ in range(int(DEADLINE / 0.05)):
            self.publisher.send_multipart(_PROBE)
            if sock.poll(50):
                break
        else:
            raise TimeoutError("no message came through the relay")
        drain(sock, 0.2)
        drain(self.subscriber, 0.2)

    def seconds(self, count: int) -> float:
        """Return how long ``count`` messages take from the first sent to the last received."""
        start = time.perf_counter()
        burst(self.publisher, count)
        receive(self.subscriber, count)
        return time.perf_counter() - start

    def rate(self, count: int) -> float:
        """Return messages a second of a burst that waits at the publisher when the time starts.

        The process is stopped meanwhile: else most of the time would be Python's, for sending.
        """
        self.process.send_signal(signal.SIGSTOP)
        try:
            burst(self.publisher, count)
        finally:
            start = time.perf_counter()
            self.process.send_signal(signal.SIGCONT)
        receive(self.subscriber, count)
        return count / (time.perf_counter() - start)


def running(program: str, arguments: list[str]) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run Python source as a process, and end it."""
    return process([sys.executable, "-c", program, *arguments])


def fedmsg_relay(stack: ExitStack, limit: int) -> Link:
    """Start ``fedmsg-relay`` with a ``high_water_mark``."""
    inbound, outbound = free_address(), free_address()
    config = {
        "relay_inbound": [inbound],
        "endpoints": {"relay_outbound": [outbound]},
        "high_water_mark": limit,
        "logging": {"version": 1, "disable_existing_loggers": False},
    }
    path = Path(f"relay-{os.getpid()}-{outbound.rpartition(':')[2]}.py")
    path.write_text(f"config = {config!r}\n")
    return Link(stack, _RELAY, [f"--config-filename={path}"], inbound, outbound)


def zmq_proxy(stack: ExitStack) -> Link:
    """Start a process that does nothing but ``zmq.proxy``."""
    inbound, outbound = free_address(), free_address()
    return Link(stack, _PROXY, [inbound, outbound], inbound, outbound)


def rate(limit: int, quick: bool) -> Result:
    """Compare messages a second of bursts.

    Args:
        limit: ``high_water_mark``, 0 for none.
        quick: only a smoke run.
    """
    count, rounds = (500, 3) if quick else (20_000, 21)
    with ExitStack() as stack:
        links = {
            "fedmsg-relay, msg/s": fedmsg_relay(stack, limit),
            "zmq.proxy, msg/s": zmq_proxy(stack),
        }
        sides = {}
        for name, link in links.items():
            sides[name] = partial(link.rate, count)
            sides[name]()  # warm
        samples = interleave(sides, rounds)
    return compare("fedmsg-relay, msg/s", "zmq.proxy, msg/s", samples)


def memory(quick: bool) -> Result:
    """Measure the peak memory of relays that pass on one burst each."""
    count, rounds = (1000, 1) if quick else (100_000, 3)

    def once() -> float:
        with ExitStack() as stack:
            link = fedmsg_relay(stack, 0)
            link.seconds(count)
            return peak_memory(link.process.pid)

    samples = interleave({"peak, MiB": once}, rounds)
    return Result(max(samples["peak, MiB"]), _medians(samples), samples)


def stalled(limit: int, quick: bool) -> Result:
    """Count what is lost when one of two subscribers reads nothing until all is sent.

    Args:
        limit: ``high_water_mark`` of the relay, 0 for none.
        quick: only a smoke run.
    """
    count = 2000 if quick else 20_000
    with ExitStack() as stack:
        link = fedmsg_relay(stack, limit)
        make = stack.enter_context(contextmanager(sockets)())
        # Small buffers: what it does not read waits in the relay, not in its kernel.
        idle = make(zmq.SUB, {zmq.SUBSCRIBE: b"", zmq.RCVHWM: 100, zmq.RCVBUF: 64 * 1024})
        idle.connect(link.outbound)
        link.join(idle)
        # A queue that has been in use holds less than a new one, unless that is provided for.
        link.seconds(count // 5)
        receive(idle, count // 5)
        seconds = link.seconds(count)
        late = drain(idle, _QUIET / 4 if quick else _QUIET)
        extra = drain(link.subscriber, 0.1)
    lost = count - late
    figures = {
        "sent": float(count), "healthy one received": float(count + extra),
        "healthy one, seconds": seconds, "stalled one received": float(late),
    }  # fmt: skip
    return Result(float(abs(lost) + abs(extra)), figures)


def _medians(samples: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(values) for name, values in samples.items()}
