"""Text from strangers, made harmless to look at."""

from __future__ import annotations

import re

#: Everything that a terminal would obey; a message must not move the cursor or set a title, nor
#: change the order in which text is read.  Halves of characters too (surrogates): in the locales C
#: and C.UTF-8 Python writes those of U+DC80 to U+DCFF as the bytes 0x80 to 0xFF.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def without_control(text: str, keep: str = "\t\n") -> str:
    """Return text with control characters, but those to keep, shown as escapes."""

    def shown(match: re.Match[str]) -> str:
        return match[0] if match[0] in keep else match[0].encode("unicode_escape").decode()

    return _CONTROL.sub(shown, text)


def one_line(value: object, most: int = 500) -> str:
    """Return the text of a value that strangers have shaped, for a log: one line, cut off."""
    return without_control(str(value)[:most], keep="")
