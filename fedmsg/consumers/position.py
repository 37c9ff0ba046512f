"""How far a consumer has got in the numbers of a publisher, for its next start."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import threading
import time

from .. import encoding
from .._limits import RateLimit
from .receipt import Receipt
from .status import LARGEST, replace_file

_log = logging.getLogger("fedmsg.consumers")

#: Seconds between two writes: what is done in the meantime is done again after a crash.
INTERVAL = 1.0


class Position:
    """The highest number up to which every message is done, in whatever order they were.

    Args:
        path: the file that keeps it; its directories are made.  None: nothing does.
        name: of the publisher; what the file says of another one does not count.

    Raises:
        OSError: a directory cannot be made.
    """

    def __init__(self, path: str | None, name: str) -> None:
        if path is not None:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        self.path, self._name = path, name
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._tickets = itertools.count()
        self._begun: dict[int, int] = {}
        self._passed = self._written = -1
        self._due = 0.0
        self._limit = RateLimit()

    def begin(self, number: int, passed: int) -> Receipt:
        """Note that a message is about to be queued; the receipt says when it is done.

        Args:
            number: its number.
            passed: every message up to this number has been queued, this one at the most not yet.
        """
        ticket = next(self._tickets)
        with self._lock:
            self._begun[ticket], self._passed = number, passed
        return Receipt(functools.partial(self._done, ticket))

    def passed(self, upto: int) -> None:
        """Note that nothing up to a number is missing but what has begun."""
        with self._lock:
            self._passed = upto

    def _done(self, ticket: int, _good: bool) -> None:
        with self._lock:
            self._begun.pop(ticket, None)
        if time.monotonic() >= self._due:
            self.save()

    @property
    def value(self) -> int:
        """The number up to which everything is done, -1 if none is known."""
        with self._lock:
            return min(self._passed, min(self._begun.values(), default=self._passed + 1) - 1)

    def save(self, wait: bool = False) -> None:
        """Write the file, if it has changed; a failure is logged, and the one before stays.

        Args:
            wait: for another thread that does so, and has perhaps begun too early.
        """
        if self.path is None or not self._writing.acquire(blocking=wait):
            return
        try:
            value, self._due = self.value, time.monotonic() + INTERVAL
            if value < 0 or value == self._written:
                return
            text = encoding.dumps({"name": self._name, "seq_id": value})
            replace_file(self.path, text, sync=True)
            self._written = value
        except OSError as error:
            if self._limit.allow():
                _log.error(
                    "cannot write %s: %s; the next start fetches again what was consumed since %d",
                    self.path, error, self._written,
                )  # fmt: skip
        finally:
            self._writing.release()

    def read(self) -> int | None:
        """Return what the last run has written; None, with a log entry, if that is nothing."""
        if self.path is None:
            return None
        try:
            with open(self.path, encoding="utf-8") as file:
                found = encoding.loads(file.read(LARGEST))
            name, number = found["name"], found["seq_id"]
            if name == self._name and type(number) is int and number >= 0:
                return number
            raise ValueError(f"it is about {name!r}, or {number!r} is no number")
        except FileNotFoundError:
            _log.info("%s is not there: what was sent before is not fetched", self.path)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            _log.error(
                "%s is not usable: %r; what was sent before is not fetched.  To fetch it, stop the"
                ' hub and write {"name": "%s", "seq_id": N} there, N being the last number done',
                self.path, error, self._name,
            )  # fmt: skip
        return None
