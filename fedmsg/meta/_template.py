"""The common fields of merged entries.  Specification: meta.md, section 6."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fedmsg import meta

from ._humanize import UNKNOWN, humanize
from .failures import report, safely

_Message = dict[str, Any]


def described(
    messages: Sequence[_Message], subject: str | None, lexers: bool, config: dict[str, Any]
) -> dict[str, Any]:
    """Return the fields that :meth:`BaseConglomerator.produce_template` promises."""
    entries = {
        _identity(message, number): _entry(message, subject, lexers, config)
        for number, message in enumerate(messages, 1)
    }
    topics = {topic for each in messages if isinstance(topic := each.get("topic"), str)}
    return {
        **_times(message.get("timestamp") for message in messages),
        "msg_ids": entries,
        "usernames": _union(entry["usernames"] for entry in entries.values()),
        "packages": _union(entry["packages"] for entry in entries.values()),
        "topics": topics,
        "categories": {parts[3] for topic in topics if len(parts := topic.split(".")) > 3},
        "icon": next(iter(entries.values()))["icon"],
    }


def single(
    message: _Message, subject: str | None, lexers: bool, config: dict[str, Any]
) -> dict[str, Any]:
    """Return the complete entry of a message that was merged with no other."""
    entry = meta.BaseConglomerator.produce_template(
        [message], subject=subject, lexers=lexers, **config
    )
    [only] = entry["msg_ids"].values()
    for field in ("link", "subtitle", "subjective", "secondary_icon"):
        entry[field] = only[field]
    return entry


def _identity(message: _Message, number: int) -> str:
    msg_id = message.get("msg_id")
    return msg_id if isinstance(msg_id, str) else f"without msg_id {number}"


def _entry(
    message: _Message, subject: str | None, lexers: bool, config: dict[str, Any]
) -> dict[str, Any]:
    """Return what is said about one message; the processor is looked up once."""
    try:
        processor = meta.msg2processor(message, **config)
    except Exception as error:
        report(None, error)
        processor = meta.processors[-1]

    def say(function: Callable[..., Any], default: Any, **more: Any) -> Any:
        return safely(function, message, default, {**config, **more}, processor)

    entry = {
        "title": say(meta.msg2title, ""),
        "subtitle": say(meta.msg2subtitle, ""),
        "subjective": say(meta.msg2subjective, "", subject=subject),
        "link": say(meta.msg2link, ""),
        "icon": say(meta.msg2icon, ""),
        "__icon__": getattr(processor, "__icon__", None),
        "secondary_icon": say(meta.msg2secondary_icon, ""),
        "usernames": say(meta.msg2usernames, set()),
        "packages": say(meta.msg2packages, set()),
        "objects": say(meta.msg2objects, set()),
        "long_form": say(meta.msg2long_form, ""),
    }
    if lexers:
        entry["lexer"] = say(meta.msg2lexer, None)
    return entry


def _union(sets: Iterable[Iterable[str]]) -> set[str]:
    return set().union(*sets)


def _times(stamps: Iterable[Any]) -> dict[str, Any]:
    seconds = [number for stamp in stamps if (number := _seconds(stamp)) is not None]
    mean = sum(seconds) / len(seconds) if seconds else 0.0
    return {
        "start_time": min(seconds, default=0.0),
        "end_time": max(seconds, default=0.0),
        "timestamp": mean,
        "human_time": humanize(mean, time.time()) if seconds else UNKNOWN,
    }


def _seconds(stamp: Any) -> float | None:
    """Return a timestamp, or a datetime in local time, as seconds since 1970; None if neither."""
    try:
        if hasattr(stamp, "timetuple"):
            return time.mktime(stamp.timetuple())
        number = stamp if isinstance(stamp, (int, float)) else None
        return number if number is not None and math.isfinite(number) else None
    except (ValueError, OverflowError, TypeError):
        return None
