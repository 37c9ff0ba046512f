"""What a consumer tells the monitoring.  Specification: consumers.md 7."""

from __future__ import annotations

from typing import Any


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
            consumer._exception_count = consumer.headcount_in = consumer.headcount_out = 0
            consumer._times.clear()
    return record


def _readable(topic: Any) -> Any:
    """Return a topic as declared, but as text: JSON has no bytes."""
    if isinstance(topic, bytes):
        return topic.decode("utf-8", "replace")
    return [_readable(each) for each in topic] if isinstance(topic, (list, tuple)) else topic
