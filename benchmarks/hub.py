"""The hub with a trivial consumer, and the gateway with many clients."""

from __future__ import annotations

import functools
import os
import signal
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from .measure import (
    DEADLINE,
    Block,
    Result,
    Worker,
    compare,
    drain,
    free_address,
    free_port,
    interleave,
    peak_memory,
    per_message,
    receive,
    sockets,
)
from .relaying import running
from .tailing import _first, burst, raw_side

_HUB = "from fedmsg.commands.hub import hub; raise SystemExit(hub())"
_GATEWAY = "from fedmsg.commands.gateway import gateway; raise SystemExit(gateway())"
_LOOP = """
import sys, zmq
context = zmq.Context()
sub, pub = context.socket(zmq.SUB), context.socket(zmq.PUB)
sub.setsockopt(zmq.RCVHWM, 0)
pub.setsockopt(zmq.SNDHWM, 0)
sub.setsockopt(zmq.SUBSCRIBE, b"")
sub.connect(sys.argv[1])
pub.bind("tcp://*:" + sys.argv[2])
while True:
    pub.send_multipart(sub.recv_multipart())
"""
_LOGGING = {"version": 1, "disable_existing_loggers": False}
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def hub_side(
    address: str, validating: bool = False, signatures: dict[str, Any] | None = None
) -> Generator[Block, None, None]:
    """Consume with a hub, in a worker.

    Args:
        address: of the publisher.
        validating: whether the hub checks signatures.
        signatures: how; if the hub does not, the consumer does by itself.
    """
    from fedmsg.consumers import FedmsgConsumer
    from fedmsg.crypto import validate
    from fedmsg.hub.central import Hub

    class Counting(FedmsgConsumer):
        """Counts, and says when it has had enough."""

        config_key, topic, validate_signatures = "counting", "org.fedoraproject", validating
        left = 0
        done = threading.Event()

        def consume(self, message: Any) -> None:
            if by_hand:
                assert validate(message["body"], **by_hand)
            self.left -= 1
            if not self.left:
                self.done.set()

    by_hand = None if validating else signatures
    config = {
        **(signatures or {}), "counting": True, "zmq_subscribe_endpoints": address,
        "high_water_mark": 0, "queue_limit": 0,
    }  # fmt: skip
    hub = Hub(config, [Counting], [])
    (consumer,) = hub.consumers

    def block(count: int) -> None:
        consumer.done.clear()
        consumer.left += count
        if not consumer.left:  # all of them have come before
            return
        if not consumer.done.wait(DEADLINE):
            raise TimeoutError(f"{consumer.left} of {count} messages are lost")

    hub.start()
    try:
        yield block
    finally:
        hub.close()


def cpu(quick: bool) -> Result:
    """Compare CPU times of a message consumed, in bursts."""
    count, rounds = (500, 3) if quick else (100_000, 7)
    with contextmanager(sockets)() as make, ExitStack() as stack:
        sides = {}
        for name, side in ("hub, us", hub_side), ("raw, us", raw_side):
            sock = make(zmq.XPUB, {})
            sock.bind(address := free_address())
            worker = stack.enter_context(Worker(side, address))
            worker.cpu(1, partial(_first, sock))
            sides[name] = per_message(worker, count, partial(burst, sock, count))
            sides[name]()  # warm
        samples = interleave(sides, rounds)
    return compare("hub, us", "raw, us", samples)


def _peak(side: Callable[..., Any], address: str) -> Generator[Block, None, None]:
    """Do what a side does, and leave the peak memory behind."""
    with contextmanager(side.__wrapped__)(address) as block:  # type: ignore[attr-defined]

        def measured(count: int) -> None:
            block(count)
            Path(f"peak-{address.rpartition(':')[2]}").write_text(str(peak_memory("self")))

        yield measured


@contextmanager
def peak_of_hub(address: str) -> Generator[Block, None, None]:
    """The hub's peak memory, in a worker."""
    yield from _peak(hub_side, address)


@contextmanager
def peak_of_raw(address: str) -> Generator[Block, None, None]:
    """The peak memory by hand, in a worker."""
    yield from _peak(raw_side, address)


def memory(quick: bool) -> Result:
    """Compare the peak memory of processes that get one burst each."""
    count, rounds = (500, 1) if quick else (100_000, 3)

    def once(side: Callable[..., Any]) -> float:
        with contextmanager(sockets)() as make:
            sock = make(zmq.XPUB, {})
            sock.bind(address := free_address())
            with Worker(side, address) as worker:
                worker.cpu(1, partial(_first, sock))
                worker.cpu(count, partial(burst, sock, count))
        return float(Path(f"peak-{address.rpartition(':')[2]}").read_text())

    sides = {"hub, MiB": partial(once, peak_of_hub), "raw, MiB": partial(once, peak_of_raw)}
    samples = interleave(sides, rounds)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return Result(medians["hub, MiB"] - medians["raw, MiB"], medians, samples)


def ready(quick: bool) -> Result:
    """Measure the time from the start of ``fedmsg-hub`` until it tells systemd that it is ready."""
    path = Path("hub.py")
    config = {"endpoints": {"x": [free_address()]}, "logging": _LOGGING}
    path.write_text(f"config = {config!r}\n")

    def once() -> float:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(name := f"\0fedmsg-bench-{os.getpid()}-{time.monotonic_ns()}")
            listener.settimeout(DEADLINE)
            os.environ["NOTIFY_SOCKET"] = "@" + name[1:]
            start = time.perf_counter()
            with running(_HUB, [f"--config-filename={path}"]):
                assert listener.recv(100) == b"READY=1"
                return time.perf_counter() - start

    try:
        interleave({"s": once}, 1)  # writes the bytecode
        samples = interleave({"ready, s": once}, 3 if quick else 21)
    finally:
        os.environ.pop("NOTIFY_SOCKET", None)
    median = statistics.median(samples["ready, s"])
    return Result(median, {"ready, s": median}, samples)


class Outlet:
    """A process that sends on what a publisher sends, and its clients.

    Args:
        stack: closes everything.
        clients: how many connections it has to serve.
        gateway: ``fedmsg-gateway``, or a loop by hand.
    """

    def __init__(self, stack: ExitStack, clients: int, gateway: bool) -> None:
        make = stack.enter_context(contextmanager(sockets)())
        self.clients = clients
        self.publisher = make(zmq.XPUB, {})
        self.publisher.bind(address := free_address())
        port = free_port()
        self.process = stack.enter_context(
            running(_GATEWAY, [_gateway_config(address, port)])
            if gateway
            else running(_LOOP, [address, str(port)])
        )
        if not self.publisher.poll(int(DEADLINE * 1000)):
            raise TimeoutError("the gateway did not subscribe")
        self.publisher.recv()
        # One socket: each address of the machine is a connection of its own.
        self.subscriber = make(zmq.SUB, {zmq.SUBSCRIBE: b"", zmq.RCVBUF: 256 * 1024})
        for number in range(clients):
            self.subscriber.connect(f"tcp://127.0.{1 + number // 250}.{1 + number % 250}:{port}")
        self._join()

    def _join(self) -> None:
        """Send probes until one comes on every connection."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            burst(self.publisher, 1)
            if drain(self.subscriber, 0.3) == self.clients:
                return
        raise TimeoutError("not every client is connected")

    def once(self, count: int) -> tuple[float, float]:
        """Return messages a second, and CPU microseconds a message, of a burst that waits."""
        self.process.send_signal(signal.SIGSTOP)
        before = _cpu_seconds(self.process)
        try:
            burst(self.publisher, count)
        finally:
            start = time.perf_counter()
            self.process.send_signal(signal.SIGCONT)
        receive(self.subscriber, count * self.clients)
        seconds = time.perf_counter() - start
        return count / seconds, (_cpu_seconds(self.process) - before) / count * 1e6


def _gateway_config(address: str, port: int) -> str:
    config = {
        "endpoints": {"x": [address]}, "logging": _LOGGING, "high_water_mark": 0,
        "fedmsg.consumers.gateway.port": port,
        "fedmsg.consumers.gateway.high_water_mark": 100_000,
    }  # fmt: skip
    path = Path(f"gateway-{port}.py")
    path.write_text(f"config = {config!r}\n")
    return f"--config-filename={path}"


def _cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """Return the processor time of a process.

    Raises:
        RuntimeError: the system does not tell.
    """
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise RuntimeError("the time of another process is known on Linux only") from error
    return (int(fields[11]) + int(fields[12])) / _TICKS


@functools.cache
def _gateway(clients: int, quick: bool) -> tuple[Result, Result]:
    """Return the comparisons of rates and of CPU times; they are of the same runs."""
    count, rounds = (50, 3) if quick else (100_000 // clients, 11)
    clients = min(clients, 20) if quick else clients
    rates: dict[str, list[float]] = {}
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        outlets = {name: Outlet(stack, clients, name == "gateway") for name in ("gateway", "loop")}
        for outlet in outlets.values():
            outlet.once(count)  # warm
        for _ in range(rounds):
            for name, outlet in outlets.items():
                rate, used = outlet.once(count)
                rates.setdefault(f"{name}, msg/s", []).append(rate)
                times.setdefault(f"{name}, us", []).append(max(used, 1e-3))
            outlets = dict(reversed(outlets.items()))
    return (
        compare("gateway, msg/s", "loop, msg/s", rates),
        compare("gateway, us", "loop, us", times),
    )


def gateway_rate(clients: int, quick: bool) -> Result:
    """Compare messages a second with those of a loop in Python."""
    return _gateway(clients, quick)[0]


def gateway_cpu(clients: int, quick: bool) -> Result:
    """Compare the CPU time of a message with that of a loop in Python."""
    return _gateway(clients, quick)[1]


def gateway_memory(clients: int, quick: bool) -> Result:
    """Measure the peak memory of a gateway whose clients keep up."""
    with ExitStack() as stack:
        outlet = Outlet(stack, 20 if quick else clients, True)
        for _ in range(3 if quick else 50):
            outlet.once(20)
        peak = peak_memory(outlet.process.pid)
    return Result(peak, {"peak, MiB": peak}, {"peak, MiB": [peak]})
