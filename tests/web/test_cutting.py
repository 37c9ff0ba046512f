"""Messages of any size and content become a few kilobytes of text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fedmsg.crypto._fields import without_credentials
from fedmsg.web import cutting


def test_small_message_is_complete() -> None:
    """What is small is shown as it is."""
    message = {"topic": "t", "msg": {"a": [1, None, True, 1.5, "é"]}}
    text, cut = cutting.pretty(message)
    assert (json.loads(text), cut) == (message, False)
    assert "é" in text


def test_long_text_is_cut_and_says_so() -> None:
    """Of a text the beginning is left, and its length."""
    text, cut = cutting.pretty({"msg": "x" * 10_000_000})
    assert cut
    assert "xxx… [cut: 10,000,000 characters]" in text
    assert len(text) < 2000


@pytest.mark.parametrize(
    "value",
    [
        list(range(1_000_000)),
        {str(number): number for number in range(100_000)},
        [[["y" * 900] * 50] * 50] * 50,
        {"k" * 1_000_000: 1},
    ],
    ids=["list", "object", "lists of lists", "key"],
)
def test_everything_large_is_cut(value: Any) -> None:
    """The result is small, whatever is large, and says that something is missing."""
    text, cut = cutting.pretty({"msg": value})
    assert cut
    assert "[cut: " in text
    assert len(text) < 17 * 1024


def test_deep_message_is_cut() -> None:
    """Nesting ends at some depth."""
    text, cut = cutting.pretty({"msg": json.loads("[" * 900 + "]" * 900)})
    assert cut
    assert "[cut: nested deeper]" in text


def test_control_characters_are_escapes() -> None:
    """Neither escape sequences nor overrides of direction are left in the text."""
    text, _ = cutting.pretty({"msg": "\x1b[31m\u202egpj.exe\u2066\x9b"})
    assert r"\u001b[31m\u202egpj.exe\u2066\x9b" in text
    assert cutting.cell("a\nb\u202e", 10) == r"a\nb\u202e"


@pytest.mark.parametrize("value", [None, 1, ["a"], {"a": 1}, b"a"])
def test_cell_of_no_text(value: Any) -> None:
    """Only text is shown in a cell."""
    assert cutting.cell(value, 10) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (1.5, 1.5), (True, None), ("1", None), (float("nan"), None),
        (float("inf"), None), (10**400, None), (2**53, None), (-(2**53) + 1, -(2**53) + 1),
    ],
)  # fmt: skip
def test_numbers(value: Any, expected: Any) -> None:
    """Only numbers that a browser can hold are numbers."""
    assert cutting.number(value) == expected


def test_public_leaves_credentials_out() -> None:
    """Signature and certificate are left out of a copy."""
    message = {"signature": "s", "certificate": "c", "msg": 1}
    assert without_credentials(message) == {"msg": 1}
    assert len(message) == 3
