"""Reading what classes, configurations and messages of others say, whatever its form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._visible import one_line
from .message import parsed

#: Of a message that failed, so many characters are logged.
_SHOWN = 5000

_TRUE, _FALSE = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")


def as_bool(value: Any) -> bool:
    """Return the truth of a value of which texts mean what they say.

    Raises:
        ValueError: a text that means neither.
    """
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is neither true nor false; write 'true' or 'false'")
    return word in _TRUE


def worker_count(value: Any) -> int:
    """Return ``moksha.workers_per_consumer`` as a number.

    Raises:
        ValueError: it is no number of at least 1.
    """
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ValueError(f"moksha.workers_per_consumer must be at least 1, not {value!r}")
    return number


def topics_of(consumer: Any) -> list[str]:
    """Return the topics of a consumer as texts; bytes are UTF-8."""
    declared = consumer.topic
    if isinstance(declared, (str, bytes)):
        declared = [declared]
    return [each.decode("utf-8") if isinstance(each, bytes) else each for each in declared]


def prefix_of(pattern: str) -> str:
    """Return how topics begin that match a pattern: it, without any star (consumers.md 5)."""
    return pattern.replace("*", "")


def matcher(consumer: Any) -> Callable[[str], bool]:
    """Return what tells whether a topic is one of a consumer's, as a hub does."""
    prefixes = tuple(prefix_of(each) for each in topics_of(consumer))
    if consumer.hub.config.get("zmq_strict"):
        return lambda topic: topic in prefixes
    return lambda topic: topic.startswith(prefixes)


def database_of(owner: Any) -> tuple[Any, Any]:
    """Return the engine and the session of a consumer or producer with an ``app``, else Nones."""
    if not owner.app:
        return None, None
    from ..encoding.sqla import connect

    return connect(owner.hub.config.get("app_db", f"sqlite:///{owner.app}.db"))


def body_of(message: Any) -> Any:
    """Return the body of an envelope of any form, parsed if it is text; None if there is none."""
    try:
        body = message["body"] if isinstance(message, dict) else message.body
    except (AttributeError, KeyError):
        return None
    return parsed(body) if isinstance(body, str) else body


def id_of(message: Any) -> str | None:
    """Return the ``msg_id`` of an envelope, None if there is none."""
    body = body_of(message)
    found = body.get("msg_id") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None


def shown(message: Any) -> str:
    """Return the id and the text of a message for a log, cut off."""
    try:
        return one_line(f"{id_of(message)}: {message!r}", _SHOWN)
    except BaseException as error:  # noqa: BLE001  an object of somebody else's, in an error path
        return f"<a message whose repr fails: {error!r}>"
