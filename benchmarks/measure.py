"""Method: medians of alternating samples, workers of one kind, and what the machine is."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import platform
import random
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any

import zmq

#: Longest wait for anything, seconds.
DEADLINE = 60.0

#: Does so many units of the work that is measured.
Block = Callable[[int], None]
_spawn = multiprocessing.get_context("spawn")
_given_ports: set[int] = set()


@dataclass(frozen=True)
class Result:
    """One figure, and what it was made from.

    Attributes:
        value: the figure that the bar is about.
        medians: the median of each side, in the unit that its name gives.
        samples: every sample.
    """

    value: float
    medians: dict[str, float] = field(default_factory=dict)
    samples: dict[str, list[float]] = field(default_factory=dict)


def interleave(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return ``rounds`` samples of every side, taken in turns, every other turn backwards."""
    samples: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(rounds):
        for name in order:
            samples[name].append(sides[name]())
        order.reverse()
    return samples


def compare(ours: str, theirs: str, samples: dict[str, list[float]]) -> Result:
    """Return the ratio of two medians."""
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return Result(medians[ours] / medians[theirs], medians, samples)


def free_port() -> int:
    """Return a TCP port that nothing uses, below the range of outgoing connections."""
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port in _given_ports:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def free_address() -> str:
    """Return a loopback endpoint that nothing uses."""
    return f"tcp://127.0.0.1:{free_port()}"


class Worker:
    """A process that does one side's work in blocks and reports the CPU time of each.

    Args:
        side: called in the process with ``arguments``; a context manager that yields the block.
    """

    def __init__(self, side: Callable[..., AbstractContextManager[Block]], *arguments: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_work, args=(theirs, side, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Worker:
        return self

    def cpu(self, count: int, meanwhile: Callable[[], None]) -> float:
        """Return the CPU seconds of one block.

        Args:
            count: how many units the block does.
            meanwhile: run here when the block has begun; when it returns all work is done, that
                of libzmq's threads too.
        """
        self._pipe.send(count)
        self._expect("begun")
        meanwhile()
        self._expect("ended")
        self._pipe.send("settled")
        return float(self._reply())

    def _expect(self, word: str) -> None:
        reply = self._reply()
        if reply != word:
            raise RuntimeError(f"a worker said {reply!r} instead of {word!r}")

    def _reply(self) -> Any:
        if not self._pipe.poll(DEADLINE):
            raise TimeoutError(f"a worker gave no sign for {DEADLINE} s")
        return self._pipe.recv()

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(OSError):  # it has ended by itself
            self._pipe.send(None)
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()
        self._pipe.close()


def _work(
    pipe: Connection, side: Callable[..., AbstractContextManager[Block]], arguments: tuple[Any, ...]
) -> None:
    """Serve a :class:`Worker`, in its process."""
    with side(*arguments) as block:
        while (count := pipe.recv()) is not None:
            gc.collect()
            gc.disable()
            pipe.send("begun")
            start = time.process_time()
            block(count)
            pipe.send("ended")
            pipe.recv()
            used = time.process_time() - start
            gc.enable()
            pipe.send(used)


def per_message(worker: Worker, count: int, meanwhile: Callable[[], None]) -> Callable[[], float]:
    """Return a side for :func:`interleave`: the CPU microseconds of one message."""
    return lambda: worker.cpu(count, meanwhile) / count * 1e6


def receive(sock: zmq.Socket[bytes], count: int, deadline: float = DEADLINE) -> None:
    """Take ``count`` messages from a socket.

    Raises:
        TimeoutError: no message came for ``deadline`` seconds.
    """
    sock.setsockopt(zmq.RCVTIMEO, int(deadline * 1000))
    # The base class's methods are quicker, and what receives is not what is measured.
    base: Any = super(zmq.Socket, sock)
    recv, get, more = base.recv, base.get, int(zmq.RCVMORE)
    done = 0
    try:
        while done < count:
            recv()
            while get(more):
                recv()
            done += 1
    except zmq.Again:
        raise TimeoutError(f"{done} of {count} messages came in {deadline} s") from None


@contextlib.contextmanager
def process(
    command: Sequence[str],
    output: IO[bytes] | int | None = None,
    errors: IO[bytes] | None = None,
    talks: bool = False,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run a process, and end it.

    Args:
        command: program and arguments.
        output: where its standard output goes, None for ours; `subprocess.PIPE` is closed here.
        errors: where its standard error goes, None to where its standard output goes.
        talks: it reads from a pipe, and ends with it; else it is terminated.
        env: its environment, None for ours.
        cwd: its current directory, None for ours.
    """
    running = subprocess.Popen(
        command, stdin=subprocess.PIPE if talks else subprocess.DEVNULL, stdout=output,
        stderr=errors or output, env=env, cwd=cwd,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.stdin is None:
            running.terminate()
        else:
            with contextlib.suppress(OSError):  # it has ended by itself
                running.stdin.close()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdout is not None:
            running.stdout.close()


def peak_memory(process: int | str) -> float:
    """Return the peak of a process's resident memory, MiB.

    That of ``getrusage`` is no less than what its parent had when it was started.

    Args:
        process: its id, or ``self``.

    Raises:
        RuntimeError: the system does not tell.
    """
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError as error:
        raise RuntimeError("the peak memory of a process is known on Linux only") from error
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def drain(sock: zmq.Socket[bytes], quiet: float) -> int:
    """Take what comes until nothing has come for ``quiet`` seconds; return how many."""
    count = 0
    while sock.poll(int(quiet * 1000)):
        sock.recv_multipart()
        count += 1
    return count


def sockets() -> Generator[Callable[[int, Mapping[int, Any]], zmq.Socket[bytes]], None, None]:
    """Yield a function that makes a socket of a type with options; close all of them at the end."""
    context: zmq.Context[Any] = zmq.Context()

    def make(kind: int, options: Mapping[int, Any]) -> zmq.Socket[bytes]:
        sock: zmq.Socket[bytes] = context.socket(kind)
        for option, value in {zmq.SNDHWM: 0, zmq.RCVHWM: 0, **options}.items():
            sock.setsockopt(option, value)
        return sock

    try:
        yield make
    finally:
        context.destroy(linger=0)


def machine() -> dict[str, str]:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.partition(":")[2].strip() for line in lines if line[:5] == "model"]
        model = next((name for name in names if not name.isdigit()), model)
    except OSError:
        pass  # not Linux
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "processor": f"{os.cpu_count()} x {model}",
        "system": platform.platform(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "pyzmq": zmq.pyzmq_version(),
        "libzmq": zmq.zmq_version(),
        **{name: version(name) for name in ("fedmsg", "cryptography", "stomp.py")},
        "load": load(),
    }


def load() -> str:
    """Return how many processes wanted to run in the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"
