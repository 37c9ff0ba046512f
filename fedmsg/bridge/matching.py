"""What is missing or double between two sides, within a window of time: no sockets, no clock."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Any

#: Ids shown for each finding.
_EXAMPLES = 20


class _Entry:
    """What is known of one id: by side, how often and when first."""

    __slots__ = ("first", "judged", "since", "times")

    def __init__(self, now: float) -> None:
        self.since, self.judged = now, False
        self.times = [0, 0]
        self.first = [0.0, 0.0]


class Matcher:
    """Follows ids on two sides.

    An id is judged when it was first heard ``window`` seconds ago, and forgotten after twice that
    time, so that what comes late, or again, is still known.

    Args:
        window: seconds within which an id has to be heard on both sides.
        limit: ids in memory; the oldest is judged early, and counted as hurried, for the next.
        names: of the two sides.
    """

    def __init__(
        self, window: float, limit: int, names: tuple[str, str] = ("bus", "broker")
    ) -> None:
        self._window, self._limit, self._names = window, max(1, limit), names
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._unjudged: deque[tuple[str, _Entry]] = deque()
        self._counts = [dict.fromkeys(("heard", "missing", "late", "double"), 0) for _ in names]
        self._examples: list[dict[str, list[str]]] = [{"missing": [], "double": []} for _ in names]
        self.matched = self.hurried = 0
        self._largest_lag = 0.0

    def heard(self, side: int, msg_id: str, now: float) -> None:
        """An id was heard.

        Args:
            side: 0 or 1.
            msg_id: the id.
            now: seconds of any clock that only goes on.
        """
        self._counts[side]["heard"] += 1
        entry = self._entries.get(msg_id)
        if entry is None:
            entry = self._entries[msg_id] = _Entry(now)
            self._unjudged.append((msg_id, entry))
            while len(self._entries) > self._limit:
                self._forget_oldest()
        entry.times[side] += 1
        if entry.times[side] > 1:
            self._found(side, "double", msg_id)
            return
        entry.first[side] = now
        if entry.judged:
            self._counts[side]["late"] += 1
        elif entry.times[1 - side]:
            self.matched += 1
            self._largest_lag = max(self._largest_lag, now - entry.since)

    def judge(self, now: float) -> None:
        """Decide on what is old enough, and forget what is older still."""
        while self._unjudged and now - self._unjudged[0][1].since >= self._window:
            self._judge(*self._unjudged.popleft())
        while self._entries:
            msg_id, entry = next(iter(self._entries.items()))
            if now - entry.since < 2 * self._window:
                return
            del self._entries[msg_id]

    def _forget_oldest(self) -> None:
        _, entry = self._entries.popitem(last=False)
        if not entry.judged:
            self.hurried += 1
            self._judge(*self._unjudged.popleft())

    def _judge(self, msg_id: str, entry: _Entry) -> None:
        entry.judged = True
        for side, times in enumerate(entry.times):
            if not times:
                self._found(side, "missing", msg_id)

    def _found(self, side: int, what: str, msg_id: str) -> None:
        self._counts[side][what] += 1
        examples = self._examples[side][what]
        if len(examples) < _EXAMPLES and msg_id not in examples:
            examples.append(msg_id)

    @property
    def missing(self) -> int:
        """Ids that one of the sides did not hear in time, those included that came late."""
        return sum(counts["missing"] for counts in self._counts)

    @property
    def double(self) -> int:
        """How often an id was heard again on the same side."""
        return sum(counts["double"] for counts in self._counts)

    def report(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        undecided = sum(not all(entry.times) for _, entry in self._unjudged)
        return {
            **{
                name: {**self._counts[side], "examples": self._examples[side]}
                for side, name in enumerate(self._names)
            },
            "matched": self.matched,
            "undecided": undecided,
            "hurried": self.hurried,
            "largest_lag": round(self._largest_lag, 3),
        }
