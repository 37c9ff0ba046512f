"""Trying a failed message again, and keeping what fails for good."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import encoding, options
from .._limits import RateLimit
from .values import body_of, shown

_log = logging.getLogger("fedmsg.consumers")

#: Longest delay between two attempts, seconds.
_LONGEST = 60.0


class Retry:
    """Runs an attempt until it succeeds, and gives up after so many.

    Args:
        retries: attempts after the first.
        delay: seconds before the first of them; each next waits twice as long, at most a minute.
        letters: where what was given up is kept; None: it is only logged.
    """

    def __init__(self, retries: int, delay: float, letters: DeadLetters | None) -> None:
        self._retries, self._delay, self._letters = retries, delay, letters

    @classmethod
    def configured(cls, config: Mapping[str, Any], consumer: str) -> Retry | None:
        """Return what ``retries`` and ``dead_letter_file`` ask for, None if neither is set.

        Raises:
            ValueError: an option is wrong; the text names it.
        """
        retries, path = options.get(config, "retries"), options.get(config, "dead_letter_file")
        if not retries and not path:
            return None
        letters = DeadLetters(path, consumer) if path else None
        return cls(retries, options.get(config, "retry_delay"), letters)

    def run(self, attempt: Callable[[Any], bool], message: Any, stopping: threading.Event) -> bool:
        """Attempt until it succeeds or is given up.

        Args:
            attempt: takes the message; returns whether it succeeded.
            message: what is kept if it never does.
            stopping: ends the waiting: no further attempt is made.
        """
        delay = self._delay
        for left in range(self._retries, -1, -1):
            if attempt(message):
                return True
            if not left or stopping.wait(delay):
                break
            delay = min(2 * delay, _LONGEST)
        if self._letters is not None:
            self._letters.add(message, self._retries - left + 1)
        return False


class DeadLetters:
    """A file of JSON lines, one for each message that a consumer could not handle.

    Each has ``consumer``, ``time`` (seconds since the epoch), ``attempts``, ``topic`` and ``body``.

    Args:
        path: the file; it is appended to, by several processes if need be.
        consumer: name of the consumer.

    Attributes:
        lost: messages that could not be written.
    """

    def __init__(self, path: str, consumer: str) -> None:
        self.path, self.lost = path, 0
        self._consumer = consumer
        self._lock = threading.Lock()
        self._limit = RateLimit(60)

    def add(self, message: Any, attempts: int) -> None:
        """Append one message; a failure to do so is logged and counted, and not raised."""
        topic, body = _parts(message)
        record = {
            "consumer": self._consumer, "time": time.time(), "attempts": attempts,
            "topic": topic, "body": body,
        }  # fmt: skip
        try:
            line = encoding.dumps(record).encode("ascii") + b"\n"
            with self._lock:
                self._append(line)
        except (OSError, TypeError, ValueError, RecursionError) as error:
            self.lost += 1
            if self._limit.allow():
                _log.error(
                    "a message on %a is lost: it cannot be written to the dead_letter_file %s: %s;"
                    " lost so far: %d", topic, self.path, error, self.lost,
                )  # fmt: skip

    def _append(self, line: bytes) -> None:
        """Write a line whole, or not at all.

        Raises:
            OSError: it could not be written.
        """
        # Without blocking: on a file that makes no difference, and a pipe is an error.
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK
        file = os.open(self.path, flags, 0o640)
        try:
            with _locked(file):
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    line = b"\n" + line  # behind what a crash has torn off
                if os.write(file, line) != len(line):
                    os.ftruncate(file, size)
                    raise OSError(f"the device of {self.path} is full")
                os.fsync(file)
        finally:
            os.close(file)


@contextlib.contextmanager
def _locked(file: int) -> Iterator[None]:
    """Keep other processes from appending."""
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    yield  # closing the file unlocks it


def read(path: str) -> Iterator[dict[str, Any]]:
    """Yield the records of a dead-letter file.

    A line that is no record is logged and passed over: a crash may have torn one off.

    Args:
        path: a ``dead_letter_file``.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            record: Any = None
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(line)
            if isinstance(record, dict) and "body" in record:
                yield record
            elif line.strip():
                _log.warning("%s: line %d is no dead letter: %a", path, number, line[:100])


def _parts(message: Any) -> tuple[Any, Any]:
    """Return topic and body of an envelope; the text of something else, without a topic."""
    try:
        topic = message["topic"] if isinstance(message, dict) else message.topic
    except (KeyError, AttributeError):
        return None, shown(message)
    return topic, body_of(message)
