"""Finding the plug-ins of a hub: entry points of installed distributions (hub.md 3)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from .. import utils

_log = logging.getLogger("moksha.hub")

CONSUMERS = ("moksha.consumer",)
PRODUCERS = ("moksha.producer", "moksha.stream")
#: The distribution whose own plug-ins, made for its own hub, ours takes the place of.
_REPLACED = "moksha.hub"


def find(groups: Iterable[str]) -> Iterator[Any]:
    """Yield what the entry points of some groups refer to, each once.

    One that cannot be loaded is logged with its traceback, and the others are yielded.
    """
    from importlib.metadata import entry_points

    add_current_directory()
    seen: list[Any] = []
    for group in groups:
        for point in entry_points(group=group):
            if point.dist is not None and point.dist.name == _REPLACED:
                continue
            try:
                found = point.load()
            except Exception:
                _log.exception("cannot load %s of the group %s", point.name, group)
                continue
            for each in flattened(found):
                if not any(each is other for other in seen):
                    seen.append(each)
                    yield each


def flattened(found: Any) -> list[Any]:
    """Return the classes that an entry point stands for: one, or those of an iterable."""
    return [found] if callable(found) or not isinstance(found, Iterable) else list(found)


def named(text: str) -> list[Any]:
    """Return the classes of a comma list such as ``"package.module:Class, other:Name"``.

    Raises:
        ValueError: an item has no colon.
        ImportError: a module or a name in it does not exist.
    """
    add_current_directory()
    return [utils.load_class(item) for item in text.split(",") if item.strip()]


def add_current_directory() -> None:
    """Make plug-ins under development importable from the current directory."""
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
