"""Times as people say them, in the words of arrow, which 1.1.7 used."""

from __future__ import annotations

import calendar
from datetime import datetime, timezone

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WEEK, _YEAR = 7 * _DAY, 365 * _DAY

UNKNOWN = "at an unknown time"


def humanize(timestamp: float, now: float) -> str:
    """Return how long ago something was, such as ``3 hours ago`` or ``in a day``.

    Args:
        timestamp: when it was, seconds since 1970.
        now: the present, seconds since 1970.

    Returns:
        English text; :data:`UNKNOWN` for a time that the calendar does not have.
    """
    try:
        then = datetime.fromtimestamp(timestamp, timezone.utc)
        present = datetime.fromtimestamp(now, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return UNKNOWN
    seconds = round((then - present).total_seconds())
    if abs(seconds) < 10:
        return "just now"
    amount = _amount(abs(seconds), then, present)
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def _amount(seconds: int, then: datetime, present: datetime) -> str:
    """Return the largest unit that fits, and how many of it."""
    if seconds < _MINUTE:
        return f"{seconds} seconds"
    if seconds < _HOUR:
        return _counted(seconds // _MINUTE, "a minute", "minutes")
    if seconds < _DAY:
        return _counted(seconds // _HOUR, "an hour", "hours")
    if seconds < _WEEK:
        return _counted(seconds // _DAY, "a day", "days")
    if seconds < 15 * _DAY:
        return _counted(seconds // _WEEK, "a week", "weeks")
    if seconds < _YEAR:
        return _counted(_months(then, present), "a month", "months")
    return _counted(seconds // _YEAR, "a year", "years")


def _counted(count: int, one: str, many: str) -> str:
    return one if count == 1 else f"{count} {many}"


def _months(one: datetime, other: datetime) -> int:
    """Return the months between two times, with 15 days or more rounded up."""
    first, last = min(one, other), max(one, other)
    count = (last.year - first.year) * 12 + last.month - first.month
    if _later(first, count) > last:
        count -= 1
    return count + ((last - _later(first, count)).days > 14)


def _later(time: datetime, months: int) -> datetime:
    """Return the same day of a later month, or its last day if there is no such day."""
    years, month = divmod(time.month - 1 + months, 12)
    year = time.year + years
    day = min(time.day, calendar.monthrange(year, month + 1)[1])
    return time.replace(year=year, month=month + 1, day=day)
