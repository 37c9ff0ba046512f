"""Topics, the message envelope and frames: pure functions (wire.md 1-3).

Clock, uuid and user are handed in, so that every function here gives the same answer for the
same arguments.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from .exceptions import FrameError

#: Reasons under which rejected frames are counted.
FRAME_COUNT = "wrong number of frames"
TOO_LARGE = "frame too large"
BAD_TOPIC_UTF8 = "topic is not UTF-8"
CONTROL_CHARACTERS = "topic has control characters"
BAD_BODY_UTF8 = "body is not UTF-8"
BAD_JSON = "body is not JSON"
TOO_DEEP = "body is nested too deeply"
NOT_AN_OBJECT = "body is not a JSON object"
REASONS = (
    FRAME_COUNT, TOO_LARGE, BAD_TOPIC_UTF8, CONTROL_CHARACTERS, BAD_BODY_UTF8, BAD_JSON, TOO_DEEP,
    NOT_AN_OBJECT,
)  # fmt: skip

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_parse = json.JSONDecoder().raw_decode
_year_cache = (0, 0, "")


def build_topic(topic: str, modname: str, prefix: str, environment: str) -> str:
    """Return the full topic for what an application calls ``topic``.

    Args:
        topic: as the application gave it.
        modname: the publishing application, the first part after the environment.
        prefix: ``topic_prefix``.  A ``modname.topic`` that already begins with it, up to a dot,
            is left alone (core.md 2.3 step 3, D16).
        environment: ``dev``, ``stg`` or ``prod`` by convention.
    """
    candidate = f"{modname}.{topic}"
    if candidate.startswith(prefix) and candidate[len(prefix) : len(prefix) + 1] in ("", "."):
        return candidate
    return f"{prefix}.{environment}.{candidate}"


def build(topic: str, msg: Any, i: int, now: int, uuid: str, username: str) -> dict[str, Any]:
    """Return the envelope of one message (wire.md 2).

    Args:
        topic: full topic.
        msg: the payload, not copied.
        i: number of the message within its context, from 1.
        now: seconds since the epoch; also the year of ``msg_id``, in UTC (wire.md W3).
        uuid: a version 4 UUID as text.
        username: login name of the publishing process.
    """
    return {
        "topic": topic,
        "msg": msg,
        "timestamp": now,
        "msg_id": f"{_year(now)}-{uuid}",
        "i": i,
        "username": username,
    }


def uuid4(random: bytes) -> str:
    """Return the version 4 UUID made of 16 random bytes (RFC 9562, section 5.4).

    The standard library's class costs three times as much, most of it for the object.
    """
    text = random.hex()
    variant = "89ab"[random[8] & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def _year(now: int) -> str:
    """Return the year of ``now`` in UTC; the answer is kept for the day it holds for."""
    global _year_cache
    first, end, text = _year_cache
    if not first <= now < end:
        first = now - now % 86400
        text = f"{time.gmtime(now).tm_year:04d}"
        _year_cache = (first, first + 86400, text)
    return text


def has_control_characters(topic: str) -> bool:
    """True if a topic contains C0 or C1 control characters, which subscribers reject."""
    # The first look is the cheaper one, and enough for nearly all.
    return not topic.isprintable() and _CONTROL.search(topic) is not None


def topic_of(frames: Sequence[bytes], max_size: int = 0) -> str:
    """Return the topic of the frames of one bus message; arguments and errors of :func:`decode`.

    What is in the body is not looked at.
    """
    if len(frames) != 2:
        raise FrameError(FRAME_COUNT, str(len(frames)))
    raw_topic, raw_body = frames
    if max_size and (len(raw_body) > max_size or len(raw_topic) > max_size):
        raise FrameError(TOO_LARGE, f"{max(map(len, frames))} bytes, limit {max_size}")
    try:
        topic = raw_topic.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrameError(BAD_TOPIC_UTF8, str(error)) from None
    if has_control_characters(topic):
        raise FrameError(CONTROL_CHARACTERS, ascii(topic[:200]))
    return topic


def decode(frames: Sequence[bytes], max_size: int = 0) -> tuple[str, dict[str, Any]]:
    """Return topic and message of the frames of one bus message.

    Args:
        frames: topic and body.
        max_size: largest accepted frame in bytes, 0 for any.

    Raises:
        FrameError: the frames are no bus message; ``reason`` is one of this module's constants.
    """
    return topic_of(frames, max_size), decode_body(frames[1])


def decode_body(raw: bytes) -> dict[str, Any]:
    """Return the message in one body frame.

    Raises:
        FrameError: not UTF-8, not JSON, nested too deeply, or not an object.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrameError(BAD_BODY_UTF8, str(error)) from None
    try:
        message = parse(text)
    except RecursionError:
        raise FrameError(TOO_DEEP) from None
    except ValueError as error:
        raise FrameError(BAD_JSON, str(error)[:200]) from None
    if type(message) is not dict:
        raise FrameError(NOT_AN_OBJECT, type(message).__name__)
    return message


def parse(text: str) -> Any:
    """Return the value of a JSON text; faster than ``json.loads`` for an object without blanks.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    if text[:1] == "{":
        value, end = _parse(text)
        if end == len(text):
            return value
    return json.loads(text)
