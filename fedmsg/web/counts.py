"""What the page counts: topics over time, publishers, numbers that are missing.

Nothing here knows the time or has a lock: both are the caller's.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any

from ..replay.tracker import Decision, Tracker, seq_id_of
from . import cutting

#: Points of the chart.
BUCKETS = 60
#: Topics told apart in one of them; lines of the chart; topics listed below it.
_MOST_TOPICS, _MOST_SERIES, _MOST_LISTED = 300, 7, 30
#: Publishers remembered, and listed.
_MOST_PUBLISHERS, _MOST_SHOWN = 500, 100
#: Characters of a topic, and of a name.
TOPIC, NAME = 300, 100
_LARGEST = 2**53 - 1


class Rates:
    """Messages by topic in each part of a window of time.

    Args:
        seconds: length of the window.
        now: time, seconds on any clock.

    Attributes:
        other: in the parts of the window, messages whose topics were too many to tell apart.
    """

    def __init__(self, seconds: float, now: float) -> None:
        self._width, self._began = seconds / BUCKETS, now
        self._number = 0
        self._buckets: deque[Counter[str]] = deque([Counter()], BUCKETS)
        self.other: deque[int] = deque([0], BUCKETS)

    def add(self, topic: str, now: float) -> None:
        """Count one message."""
        self.advance(now)
        bucket = self._buckets[-1]
        if topic in bucket or len(bucket) < _MOST_TOPICS:
            bucket[topic] += 1
        else:
            self.other[-1] += 1

    def advance(self, now: float) -> None:
        """Forget what the window no longer covers."""
        number = int((now - self._began) / self._width)
        for _ in range(min(number - self._number, BUCKETS)):
            self._buckets.append(Counter())
            self.other.append(0)
        self._number = max(self._number, number)

    def report(self, now: float) -> dict[str, Any]:
        """Return the busiest topics with their counts, oldest first, and the sum of the others."""
        self.advance(now)
        totals: Counter[str] = Counter()
        for bucket in self._buckets:
            totals.update(bucket)
        listed = totals.most_common(_MOST_LISTED)
        drawn = [topic for topic, _ in listed[:_MOST_SERIES]]
        rest = [
            other + bucket.total() - sum(bucket[topic] for topic in drawn)
            for bucket, other in zip(self._buckets, self.other, strict=True)
        ]
        return {
            "width": self._width,
            "series": [
                {"topic": topic, "counts": [bucket[topic] for bucket in self._buckets]}
                for topic in drawn
            ],
            "rest": rest,
            "topics": [{"topic": topic, "count": count} for topic, count in listed],
            "unlisted": len(totals) - len(listed),
            "not_told_apart": sum(self.other),
        }


class Publishers:
    """Who has sent, and when last.

    Args:
        prefix: ``topic_prefix``; the part of a topic behind it and the environment is the service.

    Attributes:
        forgotten: those that were dropped because there were too many.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix, self._parts = prefix + ".", prefix.count(".") + 2
        self._seen: OrderedDict[tuple[str, str, str], list[Any]] = OrderedDict()
        self.forgotten = 0

    def add(self, name: str, topic: str, user: Any, now: float) -> None:
        """Count one message."""
        key = (name, self._service(topic), cutting.cell(user, NAME))
        entry = self._seen.get(key)
        if entry is None:
            entry = self._seen[key] = [0, now]
            if len(self._seen) > _MOST_PUBLISHERS:
                self._seen.popitem(last=False)
                self.forgotten += 1
        else:
            self._seen.move_to_end(key)
        entry[0] += 1
        entry[1] = now

    def _service(self, topic: str) -> str:
        parts = topic.split(".", self._parts + 1)
        known = topic.startswith(self._prefix) and len(parts) > self._parts
        return (parts[self._parts] if known else topic)[:NAME]

    def report(self, now: float) -> list[dict[str, Any]]:
        """Return the latest ones, each with the seconds since its last message."""
        latest = list(reversed(self._seen.items()))[:_MOST_SHOWN]
        return [
            {
                "name": name, "service": service, "user": user, "count": count,
                "age": round(now - last, 1),
            }
            for (name, service, user), (count, last) in latest
        ]  # fmt: skip


class Sequences:
    """Numbers (``seq_id``) that are missing, by publisher.

    Args:
        names: of the publishers whose messages are numbered: the keys of ``replay_endpoints``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._trackers = {name: Tracker() for name in names}
        self._counts: dict[str, Counter[str]] = {name: Counter() for name in self._trackers}

    def add(self, name: str, message: Mapping[str, Any]) -> None:
        """Look at the number of one message."""
        tracker, number = self._trackers.get(name), seq_id_of(message)
        if tracker is None or number is None:
            return
        last, msg_id, counts = tracker.last, message.get("msg_id"), self._counts[name]
        decision = tracker.decide(number, msg_id)
        if decision is Decision.GAP:
            counts["missing"] = min(counts["missing"] + number - last - 1, _LARGEST)
            tracker.pass_gap(number, msg_id)
        elif decision is Decision.DROP:
            counts["duplicates"] += 1
        elif decision is Decision.RESTART:
            counts["restarts"] += 1
        elif number < last:
            counts["missing"] = max(0, counts["missing"] - 1)

    def report(self) -> list[dict[str, Any]]:
        """Return what was found, for each publisher."""
        kinds = ("missing", "duplicates", "restarts")
        return [
            {
                "name": cutting.cell(name, NAME),
                "last": min(self._trackers[name].last, _LARGEST),
                **{kind: counts[kind] for kind in kinds},
            }
            for name, counts in self._counts.items()
        ]
