"""Links that are slow, silent, broken or half open; peers that stand still; crowds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from chaos_parts import LOGGING
from parts import publish, relayed, settings
from proxy import FaultProxy

pytestmark = pytest.mark.trial
Start = Callable[..., Any]
#: Enough, at 10 kB each, to fill the buffers of the kernel and a small queue.
MANY = 2000
PAYLOAD = {"x": "x" * 10_000}


@pytest.fixture
def proxy() -> Iterator[Callable[..., FaultProxy]]:
    """A function that starts a proxy."""
    with contextlib.ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(FaultProxy(*arguments))


def names(count: int, first: int = 0) -> list[str]:
    """Return the topics of numbered messages."""
    return [str(number) for number in range(first, first + count)]


def test_latency(proxy: Start, relay: Start, address: Start, make_context: Start) -> None:
    """A slow link to the relay costs time, and no message."""
    there = relay(address())
    link = proxy(there.endpoint, 0.05)
    publish(make_context(**relayed(link.endpoint, post_init_sleep=20)), names(500))
    assert there.topics(500) == names(500)


def test_partition(proxy: Start, relay: Start, address: Start, make_context: Start) -> None:
    """A link that is silent for a while: all arrives afterwards, in order."""
    there = relay(address())
    link = proxy(there.endpoint)
    context = make_context(**relayed(link.endpoint, post_init_sleep=20))
    publish(context, names(10))
    assert there.topics(10) == names(10)
    link.partition()
    publish(context, names(MANY, 10))
    assert there.is_idle()
    link.heal()
    assert (there.topics(MANY), context.overflows) == (names(MANY, 10), 0)


def test_partition_with_a_limit(
    proxy: Start, relay: Start, address: Start, make_context: Start, caplog: Any
) -> None:
    """With a high_water_mark what exceeds it is lost: an overflow is counted and logged."""
    there = relay(address())
    link = proxy(there.endpoint)
    context = make_context(**relayed(link.endpoint, post_init_sleep=20, high_water_mark=20))
    link.partition()
    for number in range(MANY):
        context.publish(topic=str(number), msg=PAYLOAD, modname="t")
    assert context.overflows > 0
    assert "too slow" in caplog.text
    link.heal()
    arrived = there.topics(20)
    assert arrived == names(20)


@pytest.fixture
def bound(make_context: Start, address: Start) -> Callable[..., tuple[Any, str]]:
    """A function that returns a context that binds, and its endpoint."""

    def make(**changes: Any) -> tuple[Any, str]:
        endpoint = address()
        return make_context(**settings(name="me", endpoints={"me": endpoint}, **changes)), endpoint

    return make


def joined(context: Any, listening: Any, eventually: Start) -> None:
    """Publish until somebody hears it, then read the rest."""
    mark = uuid.uuid4().hex

    def hears() -> bool:
        context.publish(topic=mark, modname="t")
        return any(frames[0].endswith(mark.encode()) for frames in listening.arrived())

    eventually(hears)
    context.publish(topic=f"{mark}-end", modname="t")
    while listening.topics(1) != [f"{mark}-end"]:
        pass


def test_broken_connection(proxy: Start, bound: Start, listener: Start, eventually: Start) -> None:
    """A subscriber whose connection breaks comes back, and misses nothing else."""
    context, endpoint = bound()
    link = proxy(endpoint)
    listening, healthy = listener(link.endpoint), listener(endpoint)
    joined(context, healthy, eventually)
    joined(context, listening, eventually)
    link.cut()
    publish(context, names(100))
    joined(context, listening, eventually)
    publish(context, names(100, 100))
    assert listening.topics(100) == names(100, 100)
    heard: list[str] = []
    while "199" not in heard:
        heard += healthy.topics(1)
    assert [name for name in heard if len(name) < 4] == names(200)


def test_half_open_connection(
    proxy: Start, bound: Start, listener: Start, eventually: Start, caplog: Any
) -> None:
    """One that only the publisher still has is an overflow; the new one gets everything."""
    context, endpoint = bound(high_water_mark=20, zmq_linger=0)
    link = proxy(endpoint)
    listening = listener(link.endpoint)
    joined(context, listening, eventually)
    link.half_open()
    joined(context, listening, eventually)
    for number in range(MANY):
        context.publish(topic=str(number), msg=PAYLOAD, modname="t")
        assert listening.topics(1) == [str(number)]
    assert context.overflows > 0
    assert "too slow" in caplog.text


def stand_still(process: Any) -> None:
    """Stop a process, and return when it has stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def test_subscriber_stands_still(
    command: Start, config_file: Start, bound: Start, listener: Start, eventually: Start
) -> None:
    """A tail that is stopped (SIGSTOP) and goes on has missed nothing, nor has anybody else."""
    context, endpoint = bound(zmq_linger=0)
    path = config_file(endpoints={"me": [endpoint]}, validate_signatures=False)
    tail = command("fedmsg-tail", f"--config-filename={path}", "--json")
    healthy = listener(endpoint)

    def shows() -> bool:
        context.publish(topic="hello", modname="t")
        return ".hello" in tail.stdout

    eventually(shows)
    joined(context, healthy, eventually)
    stand_still(tail.process)
    publish(context, names(MANY))
    assert healthy.topics(MANY) == names(MANY)
    tail.process.send_signal(signal.SIGCONT)
    tail.says(f".t.{MANY - 1}")
    shown = [json.loads(line)["topic"] for line in tail.stdout.rpartition("\n")[0].split("\n")]
    assert [topic.rpartition(".")[2] for topic in shown[-MANY:]] == names(MANY)


def test_relay_stands_still(
    command: Start, config_file: Start, address: Start, listener: Start, make_context: Start,
    eventually: Start,
) -> None:  # fmt: skip
    """A relay that is stopped (SIGSTOP) and goes on passes on everything."""
    config = relayed(
        address(), endpoints={"relay_outbound": [address()]}, logging=LOGGING, post_init_sleep=20
    )
    relay = command("fedmsg-relay", f"--config-filename={config_file(**config)}")
    context, listening = make_context(**config), listener(*config["endpoints"]["relay_outbound"])
    joined(context, listening, eventually)
    stand_still(relay.process)
    publish(context, names(MANY))
    assert listening.is_idle()
    relay.process.send_signal(signal.SIGCONT)
    assert (listening.topics(MANY), context.overflows) == (names(MANY), 0)


def test_a_thousand_come_and_go(
    zmq_context: zmq.Context[Any], bound: Start, listener: Start, eventually: Start
) -> None:
    """1,000 subscribers, up to 50 at once: each hears, and one that stays misses nothing."""
    context, endpoint = bound(zmq_linger=0)
    healthy = listener(endpoint)
    joined(context, healthy, eventually)
    number = 0
    for _ in range(20):
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(zmq_context.socket(zmq.SUB)) for _ in range(50)]
            for sock in crowd:
                sock.setsockopt(zmq.SUBSCRIBE, b"")
                sock.connect(endpoint)
            waiting = set(crowd)
            while waiting:
                publish(context, names(10, number))
                number += 10
                waiting = {sock for sock in waiting if not sock.poll(1)}
                assert number < 100_000, f"{len(waiting)} subscribers hear nothing"
    assert (healthy.topics(number), context.overflows) == (names(number), 0)


def test_name_server_that_hangs(
    monkeypatch: pytest.MonkeyPatch, bound: Start, listen: Start, eventually: Start
) -> None:
    """An endpoint whose name is not answered for holds nobody up; the others are heard."""
    answered, asked, resolve = threading.Event(), [], socket.getaddrinfo

    def hang(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "hangs.example":
            return resolve(host, *arguments, **options)
        asked.append(host)
        answered.wait(60)
        raise socket.gaierror("no answer")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    context, endpoint = bound()
    try:
        _, listening = listen({"me": [endpoint], "other": ["tcp://hangs.example:2001"]})

        def hears() -> bool:
            context.publish(topic="x", modname="t")
            return bool(listening.heard)

        eventually(hears)
        assert asked == ["hangs.example"]
        context.publish(topic="end", modname="t")
        listening.over()
    finally:
        answered.set()
