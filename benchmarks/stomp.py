"""Publishing to RabbitMQ, every message confirmed, and the same with stomp.py alone."""

from __future__ import annotations

import importlib.util
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import fedmsg

from .measure import DEADLINE, Block, Result, Worker, compare, free_port, interleave
from .publishing import payload
from .raw import Envelope

_BROKERS = Path(__file__).resolve().parents[1] / "tests" / "brokers.py"
_WINDOW = 1000


def brokers() -> ModuleType:
    """Return the module of the tests that starts brokers."""
    spec = importlib.util.spec_from_file_location("brokers", _BROKERS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def missing() -> str:
    """Return what has to be installed for the measurement, empty if all is there."""
    return str(brokers().RabbitMQ.missing())


def measure(size: int, quick: bool) -> Result:
    """Compare rates of confirmed publishing.

    Args:
        size: of the payload, bytes of JSON.
        quick: only a smoke run.
    """
    count, rounds = (200, 3) if quick else (10_000, 9)
    with tempfile.TemporaryDirectory(prefix="fedmsg-bench-") as folder:
        node = brokers().RabbitMQ(Path(folder) / "rabbitmq", free_port)
        try:
            node.start()
            with (
                Worker(fedmsg_side, node.port, size) as ours,
                Worker(raw_side, node.port, size) as theirs,
            ):
                sides = {
                    "fedmsg, msg/s": partial(_rate, ours, count),
                    "stomp.py, msg/s": partial(_rate, theirs, count),
                }
                interleave(sides, 1)  # warm
                samples = interleave(sides, rounds)
        finally:
            node.close()
    return compare("fedmsg, msg/s", "stomp.py, msg/s", samples)


def _rate(worker: Worker, count: int) -> float:
    began = time.monotonic()
    worker.cpu(count, lambda: None)
    return count / (time.monotonic() - began)


@contextmanager
def fedmsg_side(port: int, size: int) -> Generator[Block, None, None]:
    """Publish through fedmsg, in a worker."""
    msg = payload(size)
    context = fedmsg.FedMsgContext(
        zmq_enabled=False, stomp_uri=f"127.0.0.1:{port}", stomp_window=_WINDOW, io_threads=1,
        active=False, name="bench", post_init_sleep=10, endpoints={}, environment="dev",
        topic_prefix="org.fedoraproject",
    )  # fmt: skip

    def block(count: int) -> None:
        for _ in range(count):
            context.publish(topic="thing.happened", msg=msg)
        if context.flush(DEADLINE):
            raise TimeoutError("not confirmed")

    try:
        yield block
    finally:
        context.destroy()


@contextmanager
def raw_side(port: int, size: int) -> Generator[Block, None, None]:
    """Publish with stomp.py by hand: the same frames, a window of receipts, in a worker."""
    import stomp

    msg, envelope = payload(size), Envelope()
    window, confirmed = threading.Semaphore(_WINDOW), threading.Semaphore(0)

    class Receipts(stomp.ConnectionListener):  # type: ignore[misc]
        def on_receipt(self, frame: Any) -> None:  # noqa: ARG002
            window.release()
            confirmed.release()

    connection = stomp.Connection12([("127.0.0.1", port)], heartbeats=(10000, 10000), vhost="/")
    connection.set_listener("receipts", Receipts())
    connection.connect("guest", "guest", wait=True)
    number = 0

    def block(count: int) -> None:
        nonlocal number
        for _ in range(count):
            number += 1
            topic, message = envelope.build("thing.happened", msg)
            window.acquire(timeout=DEADLINE)
            connection.send(
                f"/topic/{topic}", envelope.encode(message), content_type="application/json",
                headers={"persistent": "true", "topic": topic, "msg_id": message["msg_id"]},
                receipt=str(number),
            )  # fmt: skip
        for _ in range(count):
            if not confirmed.acquire(timeout=DEADLINE):
                raise TimeoutError("not confirmed")

    try:
        yield block
    finally:
        connection.disconnect()
