"""What a ``publish`` costs the process that publishes, with one subscriber that keeps up."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import zmq

import fedmsg

from .measure import (
    DEADLINE,
    Block,
    Result,
    Worker,
    compare,
    drain,
    free_address,
    interleave,
    per_message,
    receive,
    sockets,
)
from .raw import RawPublisher

Publish = Callable[[str, Any], None]


def measure(size: int, quick: bool, depth: int = 0) -> Result:
    """Compare CPU times of a publish.

    Args:
        size: of the payload, bytes of JSON.
        quick: only a smoke run.
        depth: so many more functions are between the application's start and its publish.
    """
    count, rounds = (200, 3) if quick else (2000, 41)
    with contextmanager(sockets)() as make:
        addresses = {"fedmsg": free_address(), "raw": free_address()}
        with (
            Worker(fedmsg_side, addresses["fedmsg"], size, depth) as ours,
            Worker(raw_side, addresses["raw"], size, depth) as theirs,
        ):
            sides = {}
            for name, worker in (("fedmsg", ours), ("raw", theirs)):
                sock = make(zmq.SUB, {zmq.SUBSCRIBE: b"org.fedoraproject.dev.benchmarks."})
                sock.connect(addresses[name])
                join(worker, sock)
                side = per_message(worker, count, partial(receive, sock, count))
                side()  # warm
                sides[f"{name}, us"] = side
            samples = interleave(sides, rounds)
    return compare("fedmsg, us", "raw, us", samples)


def join(worker: Worker, sock: zmq.Socket[bytes]) -> None:
    """Have the worker publish single messages until the subscription has reached it.

    Raises:
        TimeoutError: it never does.
    """
    for _ in range(int(DEADLINE / 0.05)):
        worker.cpu(1, lambda: None)
        if sock.poll(50):
            drain(sock, 0.05)
            return
    raise TimeoutError("a publisher and its subscriber did not find each other")


def payload(size: int) -> dict[str, Any]:
    """Return a payload as applications have them, whose JSON is about ``size`` bytes."""
    message: dict[str, Any] = {"build": 4711, "owner": "alice", "ok": True, "tags": ["f40", "x"]}
    number = 0
    while size - len(fedmsg.encoding.dumps(message)) > 24:
        room = min(48, size - len(fedmsg.encoding.dumps(message)) - 14)
        message[f"key-{number:03}"] = "v" * room
        number += 1
    return message


@contextmanager
def fedmsg_side(address: str, size: int, depth: int) -> Generator[Block, None, None]:
    """Publish through fedmsg, in a worker."""
    fedmsg.init(
        name="bench", endpoints={"bench": [address]}, environment="dev", post_init_sleep=0,
        high_water_mark=0,
    )  # fmt: skip
    try:
        yield _block(lambda topic, msg: fedmsg.publish(topic=topic, msg=msg), size, depth)
    finally:
        fedmsg.destroy()


@contextmanager
def raw_side(address: str, size: int, depth: int) -> Generator[Block, None, None]:
    """Publish by hand, in a worker."""
    context: zmq.Context[Any] = zmq.Context()
    try:
        yield _block(RawPublisher(context, address).publish, size, depth)
    finally:
        context.destroy(linger=0)


def _block(publish: Publish, size: int, depth: int) -> Block:
    msg = payload(size)

    def many(count: int) -> None:
        for _ in range(count):
            publish("thing.happened", msg)

    def deeper(count: int, left: int) -> None:
        if left:
            deeper(count, left - 1)
        else:
            many(count)

    return lambda count: deeper(count, depth)
