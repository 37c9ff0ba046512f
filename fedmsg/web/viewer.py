"""One browser: what it wants to see, and what waits for it."""

from __future__ import annotations

import threading
from collections import deque
from typing import NamedTuple

from .._limits import RateLimit

#: What may wait for one browser: messages, and characters.
_MOST_WAITING, _MOST_WAITING_SIZE = 300, 2 * 1024 * 1024
#: What is handed over at once, characters.
_BATCH = 512 * 1024


def limit_of(rate: int) -> RateLimit:
    """Return a limit of so many a second that is not used up at the beginning of the second."""
    count = max(1, rate // 5)
    return RateLimit(count, count / rate)


class Wanted(NamedTuple):
    """What somebody wants to see; both are parts of texts, in any case, empty for everything.

    Attributes:
        topic: part of the topic.
        text: part of the topic, of the words or of the JSON.
    """

    topic: str = ""
    text: str = ""

    def topic_fits(self, topic: str) -> bool:
        """Return whether a topic is wanted."""
        return not self.topic or self.topic in topic.casefold()


def wanted(topic: str, text: str) -> Wanted:
    """Return what somebody wants who typed this; stars around a topic mean nothing."""
    return Wanted(topic.strip().strip("*").casefold(), text.strip().casefold())


class Viewer:
    """What waits for one browser.

    Args:
        wanted: what it wants to see.
        rate: messages a second, if it wants less than everything.
        since: how many messages had been received when it came.

    Attributes:
        matched: messages that it wanted.
        sent: those that it was given.
        skipped: those that it lost because it did not read.
    """

    def __init__(self, wanted: Wanted, rate: int, since: int = 0) -> None:
        self.wanted, self.since = wanted, since
        self.matched = self.sent = self.skipped = 0
        self._limit = limit_of(rate)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, str]] = deque()
        self._size = 0

    def picks(self, sampled: bool) -> bool:
        """Return whether it takes one more message that it wants.

        Args:
            sampled: whether the message is one of those that everybody gets.
        """
        self.matched += 1
        return sampled if self.wanted == Wanted() else self._limit.allow()

    def put(self, serial: int, line: str) -> None:
        """Have one message wait; the oldest ones make room.

        Args:
            serial: its number.
            line: what is sent of it.
        """
        with self._lock:
            self.sent += 1
            self._waiting.append((serial, line))
            self._size += len(line)
            while len(self._waiting) > _MOST_WAITING or self._size > _MOST_WAITING_SIZE:
                self._size -= len(self._waiting.popleft()[1])
                self.skipped += 1

    def take(self) -> tuple[list[str], int]:
        """Return the oldest messages that wait, as many as may be sent at once.

        Returns:
            The messages, and the number of the last one, 0 if there is none.
        """
        found: list[str] = []
        size = serial = 0
        with self._lock:
            while self._waiting and size < _BATCH:
                serial, line = self._waiting.popleft()
                found.append(line)
                size += len(line)
            self._size -= size
        return found, serial
