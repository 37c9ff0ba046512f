"""Two programs of a system, and the rounds in which all systems take their turns."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..measure import DEADLINE, process
from ..publishing import payload
from .systems import SYSTEMS, System

_PROGRAMS = Path(__file__).with_name("programs")
_SIZE = 1024
#: Seconds that a burst is made to last, and the fewest and most messages in one.
_BURST_SECONDS, _SHORTEST, _LONGEST = 0.7, 100, 20_000
#: Latencies are those of messages so many seconds apart.
PAUSE = 0.01


class Program:
    """One program of a system, and the conversation with it."""

    def __init__(self, stack: ExitStack, system: System, role: str, given: str, log: Path) -> None:
        self._what, self._log = f"the {role} of {system.name}", log
        command = [str(system.python), str(_PROGRAMS / f"with_{system.program}.py"), role, given]
        with open(log, "wb") as errors:
            running = process(
                command, subprocess.PIPE, errors, talks=True, env=system.environment, cwd=log.parent
            )
            self._process = stack.enter_context(running)
        self._received = b""

    def order(self, **order: Any) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; the answer will say so
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def answer(self, seconds: float = DEADLINE) -> dict[str, Any] | None:
        """Return its next answer, None if there is none for so long.

        Raises:
            RuntimeError: it has ended; says what it printed.
        """
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(seconds):
                    return None
                if not (data := os.read(self._process.stdout.fileno(), 65536)):
                    text = self._log.read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"{self._what} has ended:\n{text}")
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def expect(self) -> dict[str, Any]:
        """Return its next answer.

        Raises:
            TimeoutError: there is none; messages are lost, or it hangs.
        """
        if (found := self.answer()) is None:
            raise TimeoutError(f"{self._what} gave no answer for {DEADLINE:.0f} s")
        return found


class Contest:
    """A system that runs: a publisher, a subscriber that hears it, and what is between them."""

    def __init__(self, stack: ExitStack, system: System, folder: Path) -> None:
        folder.mkdir()
        given = {**system.start(stack, folder), "payload": payload(_SIZE - 60)}
        text = json.dumps(given)
        self.subscriber = Program(stack, system, "subscriber", text, folder / "subscriber.log")
        self.publisher = Program(stack, system, "publisher", text, folder / "publisher.log")
        self._batch = 0
        self._join()
        self.count = _SHORTEST

    def _join(self) -> None:
        """Have single messages published until one arrives.

        Raises:
            TimeoutError: none does.
        """
        self.subscriber.order(batch=0, count=1, latencies=False)
        self.subscriber.expect()
        for _ in range(int(DEADLINE / 0.05)):
            self.publisher.order(batch=0, count=1, pause=0)
            self.publisher.expect()
            if self.subscriber.answer(0.05):
                return
        raise TimeoutError("no message reached the subscriber")

    def run(self, count: int, pause: float = 0) -> tuple[dict[str, Any], dict[str, Any]]:
        """Publish one batch; return what the publisher and the subscriber say of it."""
        self._batch += 1
        self.subscriber.order(batch=self._batch, count=count, latencies=pause > 0)
        self.subscriber.expect()
        self.publisher.order(batch=self._batch, count=count, pause=pause)
        return self.publisher.expect(), self.subscriber.expect()

    def warm(self, longest: int) -> None:
        """Warm up, and choose the length of a burst."""
        for _ in range(2):
            _calls, rate = self.burst()
            self.count = max(_SHORTEST, min(longest, int(rate * _BURST_SECONDS)))

    def burst(self) -> tuple[float, float]:
        """Publish as fast as it goes; return calls a second and messages a second."""
        sent, received = self.run(self.count)
        begun = sent["began"]
        return self.count / (sent["ended"] - begun), self.count / (received["ended"] - begun)

    def paced(self, count: int) -> list[float]:
        """Publish at a rate that every system can take; return the latencies, milliseconds."""
        _, received = self.run(count, PAUSE)
        return [seconds * 1000 for seconds in received["latencies"]]


@dataclass
class Standing:
    """What is known of one system.

    Attributes:
        name: of the system.
        promise: see :class:`~benchmarks.peers.systems.System`.
        versions: of what was used.
        missing: why there are no figures, empty if there are.
        failed: whether that is an error.
        calls: publishes a second, one figure a round, until the last has returned and what the
            library held has left it.
        messages: messages a second, from the first publish until the last has arrived.
        latencies: of single messages, from before the publish until decoded, milliseconds.
    """

    name: str
    promise: str
    versions: dict[str, str] = field(default_factory=dict)
    missing: str = ""
    failed: bool = False
    calls: list[float] = field(default_factory=list)
    messages: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, float]:
        """Two medians of rates and two quantiles of latencies; empty if there are none."""
        if self.missing:
            return {}
        return {
            "calls/s": statistics.median(self.calls),
            "messages/s": statistics.median(self.messages),
            "median, ms": statistics.median(self.latencies),
            "p99, ms": statistics.quantiles(self.latencies, n=100, method="inclusive")[98],
        }


def measure(quick: bool, systems: Sequence[System] = SYSTEMS) -> list[Standing]:
    """Measure all systems in turns, every other turn backwards.

    A system that fails is left out from then on; the others go on.
    """
    rounds, paced, longest = (2, 20, _SHORTEST) if quick else (7, 100, _LONGEST)
    contests: list[tuple[Standing, Contest]] = []
    standings = [Standing(each.name, each.promise, missing=each.missing()) for each in systems]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fedmsg-bench-")))
        for number, (standing, system) in enumerate(zip(standings, systems, strict=True)):
            if standing.missing:
                continue
            with _failures_of(standing):
                standing.versions = system.versions()
                contest = Contest(stack, system, folder / str(number))
                contest.warm(longest)
                contests.append((standing, contest))
        for _ in range(rounds):
            for standing, contest in contests:
                if standing.failed:
                    continue
                with _failures_of(standing):
                    calls, messages = contest.burst()
                    standing.calls.append(calls)
                    standing.messages.append(messages)
                    standing.latencies += contest.paced(paced)
            contests.reverse()
    return standings


@contextlib.contextmanager
def _failures_of(standing: Standing) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # whatever a foreign system does, the others are measured
        standing.missing = f"{type(error).__name__}: {error}"
        standing.failed = True
