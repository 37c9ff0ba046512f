"""What a message costs the process that receives it, while more of them are waiting."""

from __future__ import annotations

import itertools
import socket
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import zmq

import fedmsg
from fedmsg import envelope

from .measure import (
    DEADLINE,
    Block,
    Result,
    Worker,
    compare,
    free_address,
    interleave,
    per_message,
    sockets,
)
from .publishing import payload
from .raw import raw_tail

_SIZE = 1024


def measure(endpoints: int, quick: bool) -> Result:
    """Compare CPU times of a message received.

    Args:
        endpoints: how many are configured; one of them lives, nothing listens at the others.
        quick: only a smoke run.
    """
    count, rounds = (200, 3) if quick else (5000, 31)
    ours, theirs = free_address(), free_address()
    with contextmanager(sockets)() as make, refusing(endpoints - 1) as dead:
        sides = {}
        publishers = [make(zmq.XPUB, {}), make(zmq.XPUB, {})]
        for sock, address in zip(publishers, (ours, theirs), strict=True):
            sock.bind(address)
        with (
            Worker(fedmsg_side, [*dead[::2], ours, *dead[1::2]]) as first,
            Worker(raw_side, theirs) as second,
        ):
            workers = {"fedmsg, us": first, "raw, us": second}
            for (name, worker), sock in zip(workers.items(), publishers, strict=True):
                # The sockets of fedmsg are made at the first iteration.
                worker.cpu(1, partial(_first, sock))
                sides[name] = per_message(worker, count, partial(burst, sock, count))
                sides[name]()  # warm
            samples = interleave(sides, rounds)
    return compare("fedmsg, us", "raw, us", samples)


def _first(sock: zmq.Socket[bytes]) -> None:
    """Wait for the subscription and send one message."""
    if not sock.poll(int(DEADLINE * 1000)):
        raise TimeoutError("no subscription came")
    sock.recv()
    burst(sock, 1)


def burst(sock: zmq.Socket[bytes], count: int) -> None:
    """Send as fast as it goes; both sides get the same bytes."""
    for _ in range(count):
        sock.send_multipart(_FRAMES)


def _frames() -> list[bytes]:
    topic = "org.fedoraproject.dev.benchmarks.thing.happened"
    message = envelope.build(
        topic, payload(_SIZE - 190), 12345, 1700000000, str(uuid.uuid4()), "alice"
    )
    return [topic.encode(), fedmsg.encoding.dumps(message).encode()]


_FRAMES = _frames()


@contextmanager
def refusing(count: int) -> Generator[list[str], None, None]:
    """Yield endpoints that refuse every connection: a port that is bound and does not listen."""
    with socket.socket() as taken:
        address = free_address()
        port = int(address.rpartition(":")[2])
        taken.bind(("0.0.0.0", port))
        yield [f"tcp://127.0.{1 + n // 250}.{1 + n % 250}:{port}" for n in range(count)]


@contextmanager
def fedmsg_side(endpoints: list[str]) -> Generator[Block, None, None]:
    """Receive through fedmsg, in a worker."""
    named = {f"service-{number}": [address] for number, address in enumerate(endpoints)}
    fedmsg.init(mute=True, endpoints=named, environment="dev", high_water_mark=0)
    messages = fedmsg.tail_messages()

    def block(count: int) -> None:
        for _name, _endpoint, topic, message in itertools.islice(messages, count):
            assert topic and message

    try:
        yield block
    finally:
        fedmsg.destroy()


@contextmanager
def raw_side(address: str) -> Generator[Block, None, None]:
    """Receive by hand, in a worker."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        sock: zmq.Socket[bytes] = context.socket(zmq.SUB)
        sock.setsockopt(zmq.RCVHWM, 0)
        sock.setsockopt(zmq.SUBSCRIBE, b"")
        sock.connect(address)
        yield partial(raw_tail, sock)
    finally:
        context.destroy(linger=0)
