"""What a consumer tells the monitoring.  Specification: consumers.md 7."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, NamedTuple

#: Upper bounds of the histogram, seconds.
BOUNDS = (0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
#: Times that are kept for the next monitoring record.
_MOST_TIMES = 1024
_append = deque.append  # faster than super()


class Totals(NamedTuple):
    """Counters of a consumer since its start."""

    received: int = 0
    exceptions: int = 0


class Durations(deque[float]):
    """The latest times, and a histogram of all of them."""

    def __init__(self) -> None:
        super().__init__(maxlen=_MOST_TIMES)
        self._counts, self._sum = [0] * (len(BOUNDS) + 1), 0.0
        self._lock = threading.Lock()

    def append(self, seconds: float) -> None:
        """Add one."""
        _append(self, seconds)
        place = bisect_left(BOUNDS, seconds)
        with self._lock:
            self._counts[place] += 1
            self._sum += seconds

    def histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Return upper bounds with the number of times up to each, and the sum of all times."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        bounds = [*(repr(bound) for bound in BOUNDS), "+Inf"]
        return list(zip(bounds, accumulate(map(float, counts)), strict=True)), total


def durations(config: Mapping[str, Any]) -> deque[float]:
    """Return what takes the times of a consumer: with a histogram if somebody may ask for it."""
    return Durations() if config.get("metrics_port") else deque(maxlen=_MOST_TIMES)


def totals_of(consumer: Any) -> Totals:
    """Return the counters of a consumer; records do not restart them."""
    with consumer._lock:
        past = consumer._past
        return Totals(
            past.received + consumer.headcount_in, past.exceptions + consumer._exception_count
        )


def record_of(consumer: Any) -> dict[str, Any]:
    """Return the record of a consumer, and restart its counters; also of one that is disabled."""
    record = {
        "name": type(consumer).__name__,
        "module": type(consumer).__module__,
        "topic": _readable(consumer.topic),
        "initialized": consumer._initialized,
        "jsonify": consumer.jsonify,
        "backlog": None,
        "exceptions": 0,
        "headcount_in": 0,
        "headcount_out": 0,
        "times": [],
        "dropped_total": consumer.dropped,
    }
    if consumer._initialized:
        with consumer._lock:
            record.update(
                backlog=consumer.backlog,
                exceptions=consumer._exception_count,
                headcount_in=consumer.headcount_in,
                headcount_out=consumer.headcount_out,
                times=list(consumer._times),
            )
            consumer._past = Totals(
                consumer._past.received + consumer.headcount_in,
                consumer._past.exceptions + consumer._exception_count,
            )
            consumer._exception_count = consumer.headcount_in = consumer.headcount_out = 0
            consumer._times.clear()
    return record


def _readable(topic: Any) -> Any:
    """Return a topic as declared, but as text: JSON has no bytes."""
    if isinstance(topic, bytes):
        return topic.decode("utf-8", "replace")
    return [_readable(each) for each in topic] if isinstance(topic, (list, tuple)) else topic
