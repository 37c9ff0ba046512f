"""How many messages were accepted and rejected; a valid one is counted without a lock."""

from __future__ import annotations

import itertools
import threading
from collections import Counter

from ._cache import unlock_in_child
from .verdict import Verdict


class Counts:
    """Counters of a process, for any thread.

    Attributes:
        rejections: rejected messages, counted by reason.
    """

    def __init__(self) -> None:
        self.rejections: Counter[str] = Counter()
        # Drawing from a count is one step, and its number cannot be read but by drawing.
        self._drawn, self._read = itertools.count(), itertools.count()
        self._lock = threading.Lock()
        unlock_in_child(self)

    @property
    def accepted(self) -> int:
        """Messages whose check found nothing wrong."""
        with self._lock:
            return next(self._drawn) - next(self._read)

    def add(self, verdict: Verdict) -> Verdict:
        """Count a verdict, and return it."""
        if verdict.valid:
            next(self._drawn)
        else:
            with self._lock:
                self.rejections[verdict.reason] += 1
        return verdict
