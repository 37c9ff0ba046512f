"""Processes that are killed, and a ledger of what was sent and what arrived."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
#: How long a trial kills, seconds.
SECONDS = float(os.environ.get("FEDMSG_TRIAL_SECONDS", "10"))
#: Longest wait for what has been killed to work again, seconds.
PATIENCE = 120.0
PUBLISHERS = 2
#: Messages a second, of all publishers together.
RATE = 500
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO",
           "handlers": ["e"]}, "handlers": {"e": {"class": "logging.StreamHandler"}}}  # fmt: skip
#: The environment in which a hub finds tests/recording.py.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE)}
RECORDING = "--with-consumers=recording:Recording"

#: Where each publisher was: how many of its messages were sent, or up to which one had arrived.
Positions = dict[str, int]


class Tape:
    """A file of lines that a process appends to; it is read on, never again."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self._lines: list[str] = []

    def read(self) -> list[str]:
        """Return the whole lines so far; the file may not exist yet."""
        if self._path.exists():
            with open(self._path, "rb") as file:
                file.seek(self._offset)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._offset += len(whole)
            self._lines += whole.decode().split()
        return self._lines


class Publishing:
    """A process that publishes, and its half of the ledger."""

    def __init__(self, folder: Path, name: str, config: dict[str, Any]) -> None:
        self.name, path = name, folder / f"sent-{name}"
        self._sent = Tape(path)
        self._log = folder / f"{name}.log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "recording.py"), json.dumps(config), str(path),
                 str(RATE / PUBLISHERS)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    @property
    def sent(self) -> list[str]:
        """Return the ``msg_id`` of what ``publish`` has accepted, in order."""
        return self._sent.read()

    @property
    def log(self) -> str:
        """Return what it has logged."""
        return self._log.read_text()

    def finish(self) -> dict[str, int]:
        """End the publishing; return what it said of what was not delivered."""
        out, _ = self.process.communicate(timeout=PATIENCE * 2)
        assert self.process.returncode == 0, self.log
        return dict(json.loads(out))

    def close(self) -> None:
        """End it at once; idempotent."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


class Daemon:
    """A command that is killed and started again at once.

    Args:
        command: the fixture.
        arguments: of the command line.
    """

    def __init__(self, command: Callable[..., Any], *arguments: str) -> None:
        self._start = lambda: command(*arguments, env=ENVIRONMENT)
        self.runs = [self._start()]

    def restart(self) -> None:
        """SIGKILL, and a new one."""
        self.runs[-1].process.send_signal(signal.SIGKILL)
        assert self.runs[-1].wait() == -signal.SIGKILL, self.runs[-1].stderr
        self.runs.append(self._start())

    @property
    def log(self) -> str:
        """Return what all of them have logged."""
        return "".join(run.stderr for run in self.runs)


class Kill(NamedTuple):
    """One kill: who, and how far each receiver was before it and when it had recovered."""

    victim: str
    before: dict[str, Positions]
    after: dict[str, Positions]


class Ledger:
    """What was sent, what each receiver got, and what was killed in between.

    Args:
        publishers: those whose messages count.
        receivers: name to a function that returns the ``msg_id`` of what has arrived so far.
    """

    def __init__(
        self, publishers: Iterable[Publishing], receivers: Mapping[str, Callable[[], list[str]]]
    ) -> None:
        self.publishers, self.receivers = list(publishers), receivers
        self.kills: list[Kill] = []
        self._numbers: dict[str, dict[str, int]] = {each.name: {} for each in self.publishers}
        self._arrived = {name: {each.name: 0 for each in self.publishers} for name in receivers}
        self._unknown: dict[str, list[str]] = {name: [] for name in receivers}
        self._read = dict.fromkeys(receivers, 0)

    def sent(self) -> Positions:
        """Return how many messages each publisher has sent."""
        for each in self.publishers:
            known = self._numbers[each.name]
            for id_ in each.sent[len(known) :]:
                known[id_] = len(known)
        return {name: len(known) for name, known in self._numbers.items()}

    def arrived(self) -> dict[str, Positions]:
        """Return for each receiver behind which message of each publisher it is."""
        ids = {name: list(got()) for name, got in self.receivers.items()}
        self.sent()
        for receiver, places in self._arrived.items():
            new = self._unknown[receiver] + ids[receiver][self._read[receiver] :]
            self._read[receiver], self._unknown[receiver] = len(ids[receiver]), []
            for id_ in new:
                names = [name for name, known in self._numbers.items() if id_ in known]
                for name in names:
                    places[name] = max(places[name], self._numbers[name][id_] + 1)
                if not names:  # it came before its sender wrote it down, or is a probe
                    self._unknown[receiver].append(id_)
        return {receiver: dict(places) for receiver, places in self._arrived.items()}

    def beyond(self, positions: Positions) -> bool:
        """Return whether every receiver has something newer of every publisher."""
        return all(
            place > positions[name] for of in self.arrived().values() for name, place in of.items()
        )

    def lost(self, receiver: str) -> list[tuple[str, int, int]]:
        """Return ``(publisher, first, last)`` of each run of messages that did not arrive."""
        got, runs = set(self.receivers[receiver]()), []
        for each in self.publishers:
            missing = [number for number, id_ in enumerate(each.sent) if id_ not in got]
            for number in missing:
                if runs and runs[-1][0] == each.name and runs[-1][2] == number - 1:
                    runs[-1] = (each.name, runs[-1][1], number)
                else:
                    runs.append((each.name, number, number))
        return runs

    def losses(self, receiver: str) -> Counter[str]:
        """Return how many messages each kind of kill cost; ``nothing`` is no kill at all.

        A run belongs to a kill if it lies between the last message that had arrived before it and
        the first that arrived after it.
        """
        found: Counter[str] = Counter()
        for name, first, last in self.lost(receiver):
            causes = [
                kill.victim for kill in self.kills
                if kill.before[receiver][name] <= first and last < kill.after[receiver][name]
            ]  # fmt: skip
            found[causes[0] if len(causes) == 1 else "nothing"] += last - first + 1
        return found

    def statement(self) -> str:
        """Return the ledger as text."""
        kills = Counter(kill.victim for kill in self.kills)
        rows = [f"sent {sum(self.sent().values())}; killed {dict(kills)}"]
        for name, got in self.receivers.items():
            ids = got()
            repeats = len(ids) - len(set(ids))
            rows.append(f"{name}: {len(ids)} arrived, {repeats} twice; lost {self.losses(name)}")
        return "\n".join(rows)


def kill_at_random(
    ledger: Ledger, daemons: Mapping[str, Callable[[], None]], wait: Callable[..., Any], seed: int
) -> None:
    """Kill one daemon after the other, each at once restarted, until the time of a trial is over.

    Each is killed once at least; the next kill comes after the bus has recovered from the last.

    Args:
        ledger: gets the kills.
        daemons: name to what kills and restarts it.
        wait: the fixture ``eventually``.
        seed: decides about the order and the moments.
    """
    generator, end = random.Random(seed), time.monotonic() + SECONDS
    order = generator.sample(sorted(daemons), len(daemons))
    while order or time.monotonic() < end:
        victim = order.pop() if order else generator.choice(sorted(daemons))
        due = sum(ledger.sent().values()) + generator.randrange(50, RATE)
        wait(lambda due=due: sum(ledger.sent().values()) >= due, "publishing", PATIENCE)
        before = ledger.arrived()
        daemons[victim]()
        mark = ledger.sent()
        wait(lambda mark=mark: ledger.beyond(mark), f"recovery from a killed {victim}", PATIENCE)
        ledger.kills.append(Kill(victim, before, ledger.arrived()))


def finish(ledger: Ledger, wait: Callable[..., Any]) -> list[dict[str, int]]:
    """End the publishing, and wait for the last message of every publisher."""
    said = [each.finish() for each in ledger.publishers]
    last = {name: count - 1 for name, count in ledger.sent().items()}
    wait(lambda: ledger.beyond(last), "the last messages", PATIENCE)
    print(ledger.statement())
    return said
