"""A hub keeps its size: memory and descriptors (issue 5)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
from hubs import EMPTY, Recorder, message
from parts import Publisher

from fedmsg.hub.central import Hub

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc"),
    pytest.mark.timeout(240),
    pytest.mark.trial,
]

MIB = 1 << 20


def resident() -> int:
    """Return the memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return how many this process has."""
    return len(os.listdir("/proc/self/fd"))


class Counting(Recorder):
    """Counts, keeps nothing, and fails on every second message."""

    count = 0

    def consume(self, message: Any) -> None:
        """Count one message."""
        self.count += 1
        if message["body"]["msg"] == "fail":
            raise ValueError("no")


def test_flat_over_messages(
    publisher: Callable[..., Publisher], eventually: Callable[..., Any],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """200,000 messages, none lost: neither memory nor descriptors grow."""
    caplog.set_level(100)
    source = publisher()
    hub = Hub({**EMPTY, "zmq_subscribe_endpoints": source.endpoint}, [Counting], [])
    hub.start()
    try:
        source.joined()
        (consumer,) = hub.consumers
        burst = [message("x" * 1000) if n % 100 else message("fail") for n in range(1000)]
        sizes, files = [], []
        for round_ in range(1, 201):
            source.send(*burst)
            eventually(lambda wanted=round_ * 1000: consumer.count == wanted, "a burst", 60)
            sizes.append(resident())
            files.append(descriptors())
        assert sizes[-1] - sizes[20] < 30 * MIB
        assert files[-1] == files[20]
        assert (consumer.dropped, consumer.backlog) == (0, 0)
    finally:
        hub.close()


def test_flat_over_connections(address: Callable[[], str], eventually: Callable[..., Any]) -> None:
    """1,000 publishers that come, send one message and go."""
    endpoint = address()
    config = {**EMPTY, "zmq_subscribe_endpoints": endpoint, "zmq_subscribe_method": "bind"}
    hub = Hub(config, [Counting], [])
    hub.start()
    try:
        (consumer,) = hub.consumers
        with zmq.Context() as context:
            before = size = 0
            for number in range(1000):
                with context.socket(zmq.XPUB) as sock:
                    sock.connect(endpoint)
                    assert sock.poll(20_000), "the hub did not subscribe"
                    sock.recv()
                    sock.send_multipart(message(number))
                    eventually(lambda wanted=number + 1: consumer.count == wanted, "it", 20)
                if number == 100:  # what both contexts need is there
                    before, size = descriptors(), resident()
            eventually(lambda: descriptors() <= before, "the end of the connections")
        assert resident() - size < 30 * MIB
    finally:
        hub.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("fedmsg-hub-source")]
