"""Options that choose messages, for the commands that listen (commands.md 4)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from typing import Any

from fedmsg.exceptions import ConfigurationError


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
    """Tells whether a topic is wanted: first ``--exclude``, then ``--include``.

    Raises:
        ConfigurationError: a pattern from a configuration file does not compile.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        try:
            self._exclude = re.compile(config["exclusive_regexp"])
            self._include = re.compile(config["inclusive_regexp"])
        except re.error as error:
            raise ConfigurationError(
                "exclusive_regexp or inclusive_regexp is no regular expression:"
                f" {error.pattern!r}: {error}"
            ) from error

    def __call__(self, topic: str) -> bool:
        return not self._exclude.search(topic) and bool(self._include.search(topic))
