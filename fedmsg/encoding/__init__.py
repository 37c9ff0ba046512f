"""JSON with one canonical form: the bytes that are signed and sent.

Two implementations must produce the same bytes for the same value: keys sorted by code point, no
blanks, ASCII only.  Specification: encoding.md.

Attributes of an SQLAlchemy model are **all** exposed; a model with secrets must define
``__json__``.
"""

from __future__ import annotations

import json
import json.encoder
import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import date

__all__ = ["pretty_dumps", "dumps", "loads"]  # noqa: RUF022  the order of 1.1.7

loads = json.loads

_c_make_encoder: Any = getattr(json.encoder, "c_make_encoder", None)
_escape = json.encoder.encode_basestring_ascii


class FedMsgEncoder(json.JSONEncoder):
    """Encoder for ``json.dumps(..., cls=FedMsgEncoder)``: also takes dates, sets and models."""

    def default(self, o: Any) -> Any:
        """Return something that JSON knows in place of an object that it does not.

        Args:
            o: an object with a method ``__json__``, a date, a set or an SQLAlchemy model.

        Returns:
            What takes its place; it is encoded in turn.

        Raises:
            TypeError: the object is of no such kind.
        """
        method = _json_method(o)
        if method is not None:
            return method()
        # Whoever has a date has loaded the module; importing fedmsg need not.
        datetime = sys.modules.get("datetime")
        if datetime is not None and isinstance(o, datetime.date):
            return _seconds(o)
        if isinstance(o, (set, frozenset)):
            return _listed(o)
        if "sqlalchemy" in sys.modules:
            from fedmsg.encoding import sqla

            if sqla.is_mapped(o):
                return sqla.to_json(o)
        return super().default(o)


class _CanonicalEncoder(FedMsgEncoder):
    """Makes the C encoder directly: 0.8 of the time of ``JSONEncoder.encode`` for a small message.

    The first argument of the C encoder records the containers on the way down, to find cycles.
    It must be new for every call: threads may encode one object at a time, and a failed call
    leaves entries behind.  One encoder without it would save another fifth, but a cycle would then
    be written again and again, up to the recursion limit, before it is noticed.
    """

    def __init__(self) -> None:
        super().__init__(sort_keys=True, separators=(",", ":"))
        self._fixed = (self.default, _escape, None, ":", ",", True, False, True)

    if _c_make_encoder is not None:

        def encode(self, o: Any) -> str:
            """Return the canonical form of an object: see :func:`dumps`."""
            return "".join(_c_make_encoder({}, *self._fixed)(o, 0))


def _json_method(obj: Any) -> Callable[[], Any] | None:
    """Return the bound ``__json__`` that belongs to the object, or None.

    It is looked up on the type, because a class has the method of its instances, and some proxies
    answer to every name.
    """
    if callable(getattr(type(obj), "__json__", None)):
        method: Any = obj.__json__
    elif isinstance(obj, type):
        return None
    else:
        try:
            method = object.__getattribute__(obj, "__dict__").get("__json__")
        except AttributeError:
            return None
    return method if callable(method) else None


def _seconds(moment: date) -> float:
    """Return seconds since the epoch, without fraction; a naive time is local time."""
    offset = getattr(moment, "utcoffset", None)
    if offset is not None and offset() is not None:
        return float(math.floor(moment.timestamp()))  # type: ignore[attr-defined]
    return time.mktime(moment.timetuple())


def _listed(items: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(items)
    except TypeError:
        return list(items)


encoder = _CanonicalEncoder()
pretty_encoder = FedMsgEncoder(indent=2)

dumps = encoder.encode
pretty_dumps = pretty_encoder.encode


class _ReprEncoder(FedMsgEncoder):
    def default(self, o: Any) -> Any:
        try:
            return super().default(o)
        except Exception:  # noqa: BLE001  whatever an object's own form raises, its repr is left
            return repr(o)


def printable(obj: Any) -> str:
    """Return :func:`pretty_dumps`, with the repr of what JSON cannot hold; never signed."""
    return _ReprEncoder(indent=2).encode(_with_text_keys(obj))


def _with_text_keys(obj: Any) -> Any:
    if isinstance(obj, dict):
        return {
            key if isinstance(key, (str, int, float, type(None))) else repr(key): _with_text_keys(
                value
            )
            for key, value in obj.items()
        }
    return [_with_text_keys(item) for item in obj] if isinstance(obj, (list, tuple)) else obj


def explained(error: Exception, message: Any) -> Exception | None:
    """Return an error of :func:`dumps` with the name of the culprit; None if there is none."""
    from fedmsg.encoding import _blame

    return _blame.explained(error, message, dumps)


def nonfinite_path(obj: Any) -> str | None:
    """Return where the first NaN or infinity is; JSON for others than Python has no such value.

    Args:
        obj: what :func:`dumps` has accepted, or what :func:`loads` returned.

    Returns:
        A path such as ``msg.sizes[2]``, empty for ``obj`` itself; None if all is finite.  Objects
        with a form of their own are not looked into: pass ``loads(text)`` to be sure.
    """
    pending: list[tuple[str, Any]] = [("", obj)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, float):
            if not math.isfinite(value):
                return path
        elif isinstance(value, dict):
            items = [(f"{path}.{key}" if path else str(key), item) for key, item in value.items()]
            pending.extend(reversed(items))
        elif isinstance(value, (list, tuple)):
            items = [(f"{path}[{number}]", item) for number, item in enumerate(value)]
            pending.extend(reversed(items))
    return None
