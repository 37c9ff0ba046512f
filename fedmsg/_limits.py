"""Saying things at a bounded rate."""

from __future__ import annotations

import time


class RateLimit:
    """Allows ``count`` events per ``period`` seconds and counts the others.

    Attributes:
        suppressed: events refused since the last one that was allowed.
    """

    def __init__(self, count: int = 1, period: float = 60.0) -> None:
        self._count, self._period = count, period
        self._left, self._until = 0, 0.0
        self.suppressed = 0
        self._pending = 0

    def allow(self) -> bool:
        """Return whether this event may be reported now."""
        now = time.monotonic()
        if now >= self._until:
            self._left, self._until = self._count, now + self._period
        if self._left <= 0:
            self._pending += 1
            return False
        self._left -= 1
        self.suppressed, self._pending = self._pending, 0
        return True
