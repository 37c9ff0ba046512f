"""Options that choose messages, for the commands that listen (commands.md 4)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
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
    """Tells whether a topic is wanted: first ``--exclude``, then ``--include``.

    They see the beginning of a topic that is too long to be one: the default of ``--include`` takes
    sixty times the size of a topic as memory.
    """

    _LONGEST = 65536

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._exclude = re.compile(config["exclusive_regexp"])
        self._include = re.compile(config["inclusive_regexp"])

    def __call__(self, topic: str) -> bool:
        topic = topic[: self._LONGEST]
        return not self._exclude.search(topic) and bool(self._include.search(topic))


class WordFilter:
    """Tells whether a message concerns one of ``--users`` and one of ``--packages``.

    Processors must have been made if there is any.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._wanted = {
            option: wanted for option in ("users", "packages") if (wanted := _names(config, option))
        }

    def __call__(self, message: dict[str, Any]) -> bool:
        return all(
            not wanted.isdisjoint(self._found(option, message))
            for option, wanted in self._wanted.items()
        )

    def _found(self, option: str, message: dict[str, Any]) -> Iterable[Any]:
        from fedmsg import meta
        from fedmsg.meta.failures import safely

        function = meta.msg2usernames if option == "users" else meta.msg2packages
        found: Iterable[Any] = safely(
            lambda msg, **kw: set(function(msg, **kw)), message, set(), self._config
        )
        return found


def _names(config: Mapping[str, Any], option: str) -> set[str]:
    """Return the names of a comma list."""
    return {name.strip() for name in (config.get(option) or "").split(",")} - {""}
