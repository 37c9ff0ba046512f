"""Finding the plug-ins of a hub: entry points of installed distributions (hub.md 3)."""

from __future__ import annotations

import functools
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from .. import utils

_log = logging.getLogger("moksha.hub")

CONSUMERS = ("moksha.consumer",)
PRODUCERS = ("moksha.producer", "moksha.stream")
#: The distribution whose own plug-ins, made for its own hub, ours takes the place of.
_REPLACED = "moksha-hub"


def find(groups: Iterable[str]) -> Iterator[Any]:
    """Yield what the entry points of some groups refer to, each once.

    One that cannot be loaded is logged with its traceback, and the others are yielded.
    """
    add_current_directory()
    seen: list[Any] = []
    for group in groups:
        for point in _entry_points(tuple(sys.path)).select(group=group):
            if point.dist is not None and _normal(point.dist.name) == _REPLACED:
                continue
            try:
                found = flattened(point.load())
            except (Exception, SystemExit):
                _log.exception("cannot load %s of the group %s", point.name, group)
                continue
            for each in found:
                if not any(each is other for other in seen):
                    seen.append(each)
                    yield each


@functools.lru_cache(maxsize=1)
def _entry_points(_path: tuple[str, ...]) -> Any:
    """Return all entry points: reading those of one group takes as long."""
    from importlib.metadata import entry_points

    return entry_points()


def _normal(name: str) -> str:
    """Return the name of a distribution as the index compares it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


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


def does_what(cls: Any, base: type) -> bool:
    """True if a class does what ``base`` does: it is it, or changes no more than its key."""
    if not (isinstance(cls, type) and issubclass(cls, base)):
        return False
    added = {name for each in cls.__mro__ if each not in base.__mro__ for name in vars(each)}
    harmless = {"config_key", *vars(type("Empty", (), {"__doc__": "", "__annotations__": {}}))}
    return added <= harmless | {"__firstlineno__", "__static_attributes__", "__annotate_func__"}


def add_current_directory() -> None:
    """Make plug-ins under development importable from the current directory.

    Behind everything else: a file there must not take the place of an installed module.
    """
    try:
        here = os.getcwd()
    except OSError:  # it has been removed
        return
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
