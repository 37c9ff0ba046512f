"""Which part of a message JSON cannot express; looked for only when encoding has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

_PLAIN = (str, int, float, bool, type(None))
#: Characters shown of the offending value.
_SHOWN = 100


def explained(error: Exception, message: Any, encode: Callable[[Any], str]) -> Exception | None:
    """Return an error that also names what is wrong and what to do, None if that is not found.

    Args:
        error: what encoding raised; a TypeError or ValueError, not a subclass.
        message: what was encoded.
        encode: the encoder, for single values.
    """
    if type(error) not in (TypeError, ValueError):
        return None  # it has a meaning of its own
    try:
        found = next(_offenders("", message, encode, ()), None)
    except RecursionError:
        return None
    if found is None:
        return None
    path, what, remedy = found
    return type(error)(f"{error}: {path or 'the message'} {what}; {remedy}")


def _offenders(
    path: str, value: Any, encode: Callable[[Any], str], above: tuple[int, ...]
) -> Iterator[tuple[str, str, str]]:
    """Yield path, description and remedy of what cannot be encoded."""
    if id(value) in above:
        yield path, "contains itself", "publish a copy without the reference"
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, _PLAIN):
                yield path, f"has the key {_shown(key)}", "use text for keys"
            inner = f"{path}.{key}" if path else str(key)
            yield from _offenders(inner, item, encode, (*above, id(value)))
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _offenders(f"{path}[{number}]", item, encode, (*above, id(value)))
    elif not isinstance(value, _PLAIN):
        try:
            encode(value)
        except Exception:  # noqa: BLE001  whatever its own form raises
            remedy = (
                "decode bytes to text before publishing, with .decode() or base64"
                if isinstance(value, (bytes, bytearray, memoryview))
                else "publish text, numbers, lists and dicts, or give its class a method __json__"
            )
            yield path, f"is {_shown(value)}", remedy


def _shown(value: Any) -> str:
    try:
        return repr(value)[:_SHOWN]
    except Exception:  # noqa: BLE001  an application's own repr
        return f"an object of type {type(value).__name__}"
