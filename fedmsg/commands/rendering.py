"""How ``fedmsg-tail`` shows a message."""

from __future__ import annotations

import pprint
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from fedmsg import encoding, utils
from fedmsg.exceptions import MissingDependency

Render = Callable[[dict[str, Any]], "str | None"]

_CREDENTIALS = ("signature", "certificate")
#: Everything that a terminal would obey; a message must not move the cursor or set a title.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def choose(config: Mapping[str, Any]) -> Render:
    """Return the function that turns a message into text, None for nothing to show.

    Args:
        config: of the several ways that it asks for, the last of ``json``, default, ``pretty``,
            ``really_pretty`` and ``query`` is used.

    Raises:
        MissingDependency: ``really_pretty`` needs Pygments.
    """
    if config.get("query"):
        return lambda message: _record(_query(_readable(config, message), config["query"]))
    if config.get("really_pretty"):
        show = _coloured if _wants_colour(config.get("color", "auto")) else encoding.pretty_dumps
        return lambda message: _record("\n" + show(_readable(config, _public(message))))
    if config.get("pretty"):
        return lambda message: _record("\n" + pprint.pformat(_readable(config, _public(message))))
    if config.get("json"):
        return encoding.dumps
    return lambda message: _record(repr(message))


def write(stream: TextIO, text: str) -> None:
    """Write a line and flush it; what the stream's encoding lacks is written as escapes."""
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        known = stream.encoding or "ascii"
        stream.write(text.encode(known, "backslashreplace").decode(known) + "\n")
    stream.flush()


def without_control(text: str) -> str:
    """Return text with control characters shown as escapes; tab and line feed stay."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _record(text: str) -> str | None:
    """Return the line as the logging of 1.1.7 wrote it; nothing for an empty text."""
    if not text:
        return None
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"[{now}][{'fedmsg.commands':>10} {'INFO':>7}] {text}"


def _public(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key not in _CREDENTIALS}


def _readable(config: Mapping[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Return the message, with ``--pretty`` its timestamp as text."""
    if not config.get("pretty") or "timestamp" not in message:
        return message
    try:
        return {**message, "timestamp": time.ctime(message["timestamp"])}
    except (TypeError, ValueError, OverflowError, OSError):
        return message


def _query(message: dict[str, Any], query: str) -> str:
    values = utils.dict_query(message, query).values()
    return without_control(", ".join(str(value) for value in values))


def _wants_colour(choice: str) -> bool:
    """True for ``always``, and for ``auto`` unless standard output is a file or a pipe."""
    if choice != "auto":
        return choice == "always"
    try:
        sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return True  # an object of the calling program, not a file
    return sys.stdout.isatty()


def _coloured(message: dict[str, Any]) -> str:
    try:
        import pygments
        from pygments.formatters import TerminalFormatter
        from pygments.lexers import JavascriptLexer
    except ImportError as error:
        raise MissingDependency(
            "--really-pretty needs Pygments: install this package with its extra 'commands'"
        ) from error
    text = encoding.pretty_dumps(message)
    return str(pygments.highlight(text, JavascriptLexer(), TerminalFormatter())).strip()
