"""What a bridge says of itself: to the monitoring sockets, and to Prometheus."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from ..hub.series import Sample, dropped
from .forms import DOUBLE
from .forms import LOOP as CAME_BACK
from .inward import Inward
from .near import EVENTS
from .outward import LOOP, Outward

#: What is counted and is no reason for a drop.
_AMOUNTS = {"received", "sent", "confirmed", *EVENTS}
#: Reasons that are told before they occur.
_EXPECTED = (CAME_BACK, LOOP, DOUBLE)


class Running:
    """One direction in its thread, and its record for the monitoring (consumers.md 7).

    Args:
        part: the direction.
        over: set when it has ended.

    Attributes:
        error: what ended it.
    """

    def __init__(self, part: Inward | Outward, over: threading.Event) -> None:
        self.part, self._over = part, over
        self.error: Exception | None = None
        self._last: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run, name="fedmsg-bridge", daemon=True)

    def _run(self) -> None:
        try:
            self.part.run()
        except Exception as error:
            self.error = error
        finally:
            self._over.set()

    def counts(self) -> Counter[str]:
        """Return what was counted so far."""
        return self.part.counts.copy() + Counter(getattr(self.part, "rejected", {}))

    def obstacle(self) -> str:
        """Return why this direction does not work, an empty text if it does."""
        if not self.thread.is_alive():
            return f"carrying has ended: {self.error}" if self.error else "carrying has ended"
        return f"broker: {self.part.problem}" if self.part.problem else ""

    def __json__(self) -> dict[str, Any]:
        counts, last = self.counts(), self._last
        self._last = counts
        done = "sent" if isinstance(self.part, Inward) else "confirmed"
        other = {key: value for key, value in counts.items() if key not in ("received", done)}
        return {
            "name": type(self.part).__name__,
            "module": type(self.part).__module__,
            "topic": "*",
            "initialized": self.thread.is_alive(),
            "exceptions": int(self.error is not None),
            "jsonify": True,
            "backlog": 0,
            "headcount_in": counts["received"] - last["received"],
            "headcount_out": counts[done] - last[done],
            "times": [],
            "received_total": counts["received"],
            "sent_total": counts[done],
            "counts": other,
        }


def samples(parts: Sequence[Running]) -> Iterator[Sample]:
    """Yield what a bridge has done; both directions together where the labels are the same."""
    found: Counter[tuple[str, ...]] = Counter()
    reasons = dict.fromkeys(_EXPECTED, 0)
    for running in parts:
        for series, value, *labels in running.part.counted():
            key = (series, *labels)
            found[key] += value
        for reason, count in running.counts().items():
            if reason not in _AMOUNTS:
                reasons[reason] = reasons.get(reason, 0) + count
    carried = [value for key, value in found.items() if key[0] == "fedmsg_bridge_carried_total"]
    yield Sample("fedmsg_messages_sent_total", sum(carried))
    for (series, *labels), value in found.items():
        yield Sample(series, value, tuple(labels))
    yield from dropped(reasons)


def obstacle(parts: Sequence[Running]) -> str:
    """Return why a bridge is not ready, an empty text if it is."""
    return next((found for each in parts if (found := each.obstacle())), "")
