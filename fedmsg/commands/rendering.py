"""How ``fedmsg-tail`` shows a message."""

from __future__ import annotations

import logging
import pprint
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

from fedmsg import encoding, utils
from fedmsg._limits import RateLimit
from fedmsg._visible import without_control
from fedmsg.crypto._fields import without_credentials
from fedmsg.exceptions import MissingDependency

Render = Callable[[dict[str, Any]], "str | None"]

_log = logging.getLogger("fedmsg.commands")
#: What a cow says at most, characters; cowsay is slow.
_COWSAY_LENGTH = 2000
#: A longer message is on one line with ``--pretty``, too, characters: pprint writes what is nested
#: anew for each level, which takes minutes for some that are allowed.
_PRETTY_LENGTH = 50_000
_cowless = RateLimit()


def choose(config: Mapping[str, Any]) -> Render:
    """Return the function that turns a message into text, None for nothing to show.

    Args:
        config: of the several ways that it asks for, the last of default, ``json``, ``pretty``,
            ``really_pretty``, ``query``, ``terse`` and ``cowsay`` is used.  The last two need
            the processors of :mod:`fedmsg.meta`.

    Raises:
        MissingDependency: ``really_pretty`` needs Pygments.
    """
    if config.get("cowsay"):
        return lambda message: _record("\n" + _cowsay(_words(config, message, "msg2subtitle")))
    if config.get("terse"):
        return lambda message: _record(
            "\n" + without_control(_words(config, message, "msg2repr"), keep="")
        )
    if config.get("query"):
        keep = "" if config.get("mark") else "\t\n"  # what is marked is one line
        return lambda message: _record(_query(_readable(config, message), config["query"], keep))
    if config.get("really_pretty"):
        show = _coloured if _wants_colour(config.get("color", "auto")) else encoding.pretty_dumps
        return lambda message: _record("\n" + show(_readable(config, without_credentials(message))))
    if config.get("pretty"):
        return lambda message: _record(
            "\n" + _pretty(_readable(config, without_credentials(message)))
        )
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


def _record(text: str) -> str | None:
    """Return the line as the logging of 1.1.7 wrote it; nothing for an empty text."""
    if not text:
        return None
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"[{now}][{'fedmsg.commands':>10} {'INFO':>7}] {text}"


def _readable(config: Mapping[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    """Return the message, with ``--pretty`` its timestamp as text."""
    if not config.get("pretty") or "timestamp" not in message:
        return message
    try:
        return {**message, "timestamp": time.ctime(message["timestamp"])}
    except (TypeError, ValueError, OverflowError, OSError):
        return message


def _pretty(message: dict[str, Any]) -> str:
    text = repr(message)
    return text if len(text) > _PRETTY_LENGTH else pprint.pformat(message)


def _query(message: dict[str, Any], query: str, keep: str) -> str:
    values = utils.dict_query(message, query).values()
    return without_control(", ".join(str(value) for value in values), keep)


def _words(config: Mapping[str, Any], message: dict[str, Any], name: str) -> str:
    """Return what processors say about a message; the message itself if they fail, or say nothing.

    Args:
        config: the configuration.
        message: the message.
        name: of the function in :mod:`fedmsg.meta`.
    """
    from fedmsg import meta
    from fedmsg.meta.failures import safely

    function = getattr(meta, name)
    words: str = safely(lambda msg, **kw: str(function(msg, **kw) or ""), message, "", config)
    return words if words.strip(" -") else repr(without_credentials(message))


def _cowsay(text: str) -> str:
    """Return a cow that says something, the text alone without the program."""
    shortened = text if len(text) <= _COWSAY_LENGTH else text[:_COWSAY_LENGTH] + "..."
    output, error = utils.cowsay_output(without_control(shortened))
    if not output and _cowless.allow():
        _log.warning("cowsay: %s", error.decode("utf-8", "backslashreplace").strip())
    return output.decode("utf-8", "replace").rstrip() or without_control(shortened, keep="")


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
            "--really-pretty needs Pygments: pip install '.[commands]'"
        ) from error
    text = encoding.pretty_dumps(message)
    return str(pygments.highlight(text, JavascriptLexer(), TerminalFormatter())).strip()
