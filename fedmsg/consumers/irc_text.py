"""What is said on IRC: colours, and lines that hold nothing but text.

Sources: consumers.md 10, CD-20, CD-22; RFC 2812, 2.3 (a message has 512 bytes at most).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Mapping
from typing import Any

from .. import encoding
from .._visible import without_control

#: Colours of mIRC, by the names that ``irc_color_lookup`` uses.
mirc_colors = {
    "white": 0, "black": 1, "blue": 2, "green": 3, "red": 4, "brown": 5, "purple": 6, "orange": 7,
    "yellow": 8, "light green": 9, "teal": 10, "light cyan": 11, "light blue": 12, "pink": 13,
    "grey": 14, "light grey": 15,
}  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DEFAULT = "light grey"
#: A server passes a line on with our address in front of it: nickname, user and host.
_OVERHEAD = 100
_LONGEST = 510


def coloured(text: str, colour: str) -> str:
    """Return text in a colour; two digits, for the text may begin with one."""
    return f"\x03{mirc_colors[colour]:02}{text}\x03"


def ircprettify(
    title: str,
    subtitle: str,
    link: str = "",
    config: Mapping[str, Any] | None = None,
    colours: bool = True,
) -> str:
    """Return the line for a message.

    Args:
        title: such as ``git.receive``; its first part chooses the colour.
        subtitle: what happened.
        link: where to read more, or empty.
        config: ``irc_color_lookup`` and ``irc_default_color``.
        colours: whether the line has any.
    """
    config = config or {}
    lookup = config.get("irc_color_lookup") or {}
    colour = lookup.get(title.split(".")[0], config.get("irc_default_color") or _DEFAULT)
    title, subtitle, link = (
        without_control(each or "", keep="") for each in (title, subtitle, link)
    )
    if colours:
        title, link = coloured(title, colour), coloured(link, "teal") if link else ""
    return f"{title} -- {subtitle} {link}"


def plain(topic: str, body: Mapping[str, Any], pretty: bool = False, doubt: str = "") -> str:
    """Return the line for a message whose words nobody asked for.

    Args:
        topic: of the message.
        body: the message.
        pretty: JSON, behind a coloured topic.
        doubt: stands in front of the body.
    """
    shown = {key: value for key, value in body.items() if key != "topic"}
    with contextlib.suppress(KeyError, TypeError, ValueError, OverflowError, OSError):
        shown["timestamp"] = time.ctime(shown["timestamp"])
    topic = f"{without_control(topic, keep=''):<30}"
    text = without_control(encoding.dumps(shown) if pretty else repr(shown), keep="")
    return " ".join(filter(None, [coloured(topic, _DEFAULT) if pretty else topic, doubt, text]))


def fitting(line: str, command: str, channel: str, nickname: str) -> str:
    """Return a line as far as it fits into one message, without what would end it.

    Args:
        line: text and colours.
        command: ``NOTICE`` or ``PRIVMSG``.
        channel: where to.
        nickname: ours.
    """
    line = line.replace("\r", " ").replace("\n", " ").replace("\0", " ")
    room = _LONGEST - _OVERHEAD - len(f"{nickname}{command} {channel} :".encode())
    data = line.encode("utf-8", "replace")
    return data[:room].decode("utf-8", "ignore")


def without_colours(line: str) -> str:
    """Return a line for a channel that does not let colours in (mode +c)."""
    return _CONTROL.sub("", re.sub(r"\x03(?:\d{1,2}(?:,\d{1,2})?)?", "", line))
