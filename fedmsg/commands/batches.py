"""Running work some time after the last of it has come.  Specification: commands.md 4, KD-2."""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from fedmsg._limits import RateLimit

_log = logging.getLogger("fedmsg.commands")

#: Work comes from the network: while some is done, no more than this waits for its turn.
MOST_ITEMS = 10_000
MOST_BYTES = 64 * 1024 * 1024
#: Between two looks whether the thread has ended, seconds.
_PAUSE = 0.01


class Batches:
    """Hands items to a function, in order, in one thread: a batch when no more have come for a
    while.

    The thread that adds takes no lock, so that a signal handler may raise in it at any place.

    Args:
        function: does the work of one item; what it raises is logged.
        delay: seconds without a new item after which all that wait are worked off.
        limit: so many may wait; one more, and they are worked off at once.  0 is no limit, but
            for :data:`MOST_ITEMS` and :data:`MOST_BYTES`.

    Attributes:
        dropped: items refused because too many were waiting.
        busy: whether an item is worked on; once stopped, it stays false when it is.
    """

    def __init__(
        self, function: Callable[[bytes], object], delay: float = 0.0, limit: int = 0
    ) -> None:
        self._function, self._delay = function, delay
        self._limit = min(limit, MOST_ITEMS) if limit > 0 else MOST_ITEMS
        self._inbox: queue.SimpleQueue[tuple[float, bytes] | None] = queue.SimpleQueue()
        self._closed = self.busy = self._finished = False
        self._refusals = RateLimit()
        # Each is changed by one thread only: the first three by the one that adds.
        self.dropped = 0
        self._added = self._added_bytes = 0
        self._taken_bytes = 0
        self._started = 0
        threading.Thread(target=self._run, name="fedmsg-batches", daemon=True).start()

    def add(self, item: bytes) -> None:
        """Let an item wait, and start the delay anew; if too many wait, count it and drop it."""
        crowded = self._inbox.qsize() >= MOST_ITEMS
        if crowded or self._added_bytes - self._taken_bytes > MOST_BYTES:
            self.dropped += 1
            if self._refusals.allow():
                _log.warning("too many messages wait: %d dropped so far", self.dropped)
            return
        self._added += 1
        self._added_bytes += len(item)
        self._inbox.put((time.monotonic(), item))

    def stop(self) -> None:
        """Begin nothing more."""
        self._closed = True
        self._inbox.put(None)

    def close(self, timeout: float | None = None) -> int:
        """Drop what waits, wait for the end of what runs, and return how many were dropped.

        Args:
            timeout: longest wait, seconds; None is as long as it takes.
        """
        self.stop()
        end = time.monotonic() + timeout if timeout is not None else math.inf
        # Not join(): a signal that comes just before it blocks is not seen until it returns, and
        # one whose handler raises makes it take the thread for ended.
        while not self._finished and time.monotonic() < end:
            time.sleep(_PAUSE)
        return self._added - self._started

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._finished = True

    def _work(self) -> None:
        waiting: deque[bytes] = deque()
        size, deadline = 0, 0.0
        while not self._closed:
            try:
                pause = max(deadline - time.monotonic(), 0) if waiting else None
                entry = self._inbox.get(timeout=pause)
            except queue.Empty:
                entry = None
            if entry is not None:
                waiting.append(entry[1])
                size += len(entry[1])
                self._taken_bytes += len(entry[1])
                deadline = entry[0] + self._delay
            too_many = len(waiting) > self._limit or size > MOST_BYTES
            if too_many or deadline <= time.monotonic():
                self._work_off(waiting)
                size = 0

    def _work_off(self, waiting: deque[bytes]) -> None:
        self.busy = True  # before it looks: see `busy`
        while waiting and not self._closed:
            self._started += 1
            try:
                self._function(waiting.popleft())
            except Exception:
                _log.exception("a message was not handled")
        self.busy = False
