"""Options that choose messages, for the commands that listen (commands.md 4)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any


def pattern(text: str) -> str:
    """Check a regular expression of the command line; it stays text, as in configuration files.

    Raises:
        argparse.ArgumentTypeError: it does not compile.
    """
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None
    return text


def number_above_zero(text: str) -> int:
    """Read a count from the command line.

    Raises:
        argparse.ArgumentTypeError: it is not an integer, or less than one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above zero")
    return int(text)


class TopicFilter:
    """Tells whether a topic is wanted: first ``--exclude``, then ``--include``."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._exclude = re.compile(config["exclusive_regexp"])
        self._include = re.compile(config["inclusive_regexp"])

    def __call__(self, topic: str) -> bool:
        return not self._exclude.search(topic) and bool(self._include.search(topic))
