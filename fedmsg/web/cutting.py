"""A message of any size and content as a few kilobytes of text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._visible import without_control

#: Most characters of one text inside a message, of a key, and of the whole; most items of a list
#: or an object; deepest nesting; most values altogether.
_STRING, _KEY, _WHOLE = 1000, 200, 16 * 1024
_ITEMS, _DEPTH, _VALUES = 100, 20, 1000
#: Larger numbers are not exact in a browser.
_EXACT = 2**53


def cell(value: Any, limit: int) -> str:
    """Return a text in one line, at most so many characters of it; empty for what is no text."""
    if not isinstance(value, str):
        return ""
    shown = without_control(value[:limit], keep="")
    return shown if len(value) <= limit else f"{shown}… [cut: {len(value):,} characters]"


def number(value: Any) -> int | float | None:
    """Return a number that a browser can hold; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if abs(value) < _EXACT else None


def pretty(message: Mapping[str, Any]) -> tuple[str, bool]:
    """Return a message as indented JSON, and whether anything of it was left out.

    What is left out is named in its place.  Control characters, and those that change the
    direction of text, are escapes.
    """
    cutter = _Cutter()
    text = json.dumps(cutter.value(message, 0), indent=2, ensure_ascii=False, sort_keys=True)
    if len(text) > _WHOLE:
        text, cutter.cut = f"{text[:_WHOLE]}\n… [cut: {len(text):,} characters]", True
    return without_control(text), cutter.cut


class _Cutter:
    """Copies values; ``cut`` tells whether it left anything out."""

    def __init__(self) -> None:
        self.cut = False
        self._left = _VALUES

    def value(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if isinstance(value, str):
            return self._text(value, _STRING)
        if not isinstance(value, (Mapping, list)):
            return value
        if depth >= _DEPTH:
            self.cut = True
            return "… [cut: nested deeper]"
        return self._items(value, depth + 1)

    def _items(self, value: Any, depth: int) -> Any:
        most = max(0, min(_ITEMS, self._left))
        more = len(value) - most
        note = f"… [cut: {more:,} more]"
        self.cut = self.cut or more > 0
        if isinstance(value, list):
            listed = [self.value(each, depth) for each in value[:most]]
            return [*listed, note] if more > 0 else listed
        pairs = zip(range(most), list(value.items()), strict=False)
        found = {self._text(key, _KEY): self.value(each, depth) for _, (key, each) in pairs}
        return {**found, "…": note} if more > 0 else found

    def _text(self, text: str, limit: int) -> str:
        if len(text) <= limit:
            return text
        self.cut = True
        return f"{text[:limit]}… [cut: {len(text):,} characters]"
