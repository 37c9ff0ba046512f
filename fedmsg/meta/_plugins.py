"""Processors of other packages, found by their entry points."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

GROUP = "fedmsg.meta"
_log = logging.getLogger("fedmsg.meta")


def load(translate: Callable[[str], str], config: Mapping[str, Any]) -> list[Any]:
    """Return a processor for every entry point, in the order in which they are found.

    Those that cannot be loaded or made are logged and left out.

    Args:
        translate: handed to each.
        config: handed to each as keywords.
    """
    made = []
    for point in _entry_points():
        try:
            made.append(point.load()(translate, **config))
        except Exception:
            _log.warning("cannot load the fedmsg.meta plug-in %s", _named(point), exc_info=True)
    return made


def _entry_points() -> list[metadata.EntryPoint]:
    try:
        return list(metadata.entry_points(group=GROUP))
    except Exception:
        # One installed package with a malformed file, whatever it is, spoils the common list.
        return _readable_ones()


def _readable_ones() -> list[metadata.EntryPoint]:
    found: dict[tuple[str, str], metadata.EntryPoint] = {}
    for distribution in metadata.distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception:
            _log.warning("cannot read the entry points in %s", _place(distribution), exc_info=True)
            continue
        for point in points:
            found.setdefault((point.name, point.value), point)
    return list(found.values())


def _named(point: metadata.EntryPoint) -> str:
    return f"{point.name} = {point.value}"


def _place(distribution: metadata.Distribution) -> str:
    return str(getattr(distribution, "_path", distribution))
