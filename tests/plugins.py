"""Packages with processors, installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

#: What processors need of the configuration.
CONFIG: dict[str, Any] = {
    "topic_prefix": "org.example",
    "topic_prefix_re": r"org\.example\.(dev|stg|prod)",
}
PREFIX = "org.example.dev."

HEAD = """
from fedmsg.meta.base import BaseConglomerator, BaseProcessor

class Processor(BaseProcessor):
    __description__ = __link__ = __docs__ = __obj__ = "of a test"
"""


def write_distribution(folder: Path, name: str, source: str, points: str) -> Path:
    """Put what pip would install into a new directory, and return the directory.

    Args:
        folder: where to make it.
        name: of the distribution and of its only module.
        source: of the module.
        points: lines of the group ``fedmsg.meta`` in its ``entry_points.txt``.
    """
    # A directory each: importlib.metadata remembers what was in one.
    site = folder / f"site-{name}"
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(source)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fedmsg.meta]\n{points}\n")
    return site


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that installs a distribution; what is installed last is found first."""
    before = set(sys.modules)

    def write(name: str, source: str, points: str) -> None:
        site = write_distribution(tmp_path, name, HEAD + source, points)
        monkeypatch.syspath_prepend(site)

    yield write
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


def sample(topic: str, username: str | None = "ralph", **msg: Any) -> dict[str, Any]:
    """Return a message of the test bus."""
    envelope: dict[str, Any] = {"topic": PREFIX + topic, "msg": msg, "timestamp": 1000, "i": 1}
    envelope["msg_id"] = f"2020-{topic}"
    return envelope if username is None else {**envelope, "username": username}
