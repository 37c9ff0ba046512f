"""Times as people say them, in the words of arrow, which 1.1.7 used."""

from __future__ import annotations

from datetime import datetime, timezone

_MINUTE, _HOUR, _DAY, _WEEK = 60, 3600, 86400, 7 * 86400
_MONTH, _YEAR = 2629746, 31556952  # mean of the Gregorian calendar, seconds

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
    months = abs((then.year - present.year) * 12 + then.month - present.month)
    if abs(seconds) < 10:
        return "just now"
    amount = _amount(abs(seconds), months)
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def _amount(seconds: int, months: int) -> str:
    """Return the largest unit that fits, and how many of it; ``months`` counts calendar months."""
    if seconds < _MINUTE:
        return f"{seconds} seconds"
    units = (
        (_MINUTE, _HOUR, "a minute", "minutes"),
        (_HOUR, _DAY, "an hour", "hours"),
        (_DAY, _WEEK, "a day", "days"),
        (_WEEK, _MONTH, "a week", "weeks"),
        (_MONTH, _YEAR, "a month", "months"),
    )
    for unit, larger, one, many in units:
        if seconds < 2 * unit:
            return one
        if seconds < larger:
            return f"{max(months if unit == _MONTH else seconds // unit, 2)} {many}"
    return "a year" if seconds < 2 * _YEAR else f"{seconds // _YEAR} years"
