"""Bounded memory, shared by threads."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Hashable
from typing import Any

#: What has a lock that a forked child must not inherit as another thread held it.
_locked: weakref.WeakSet[Any] = weakref.WeakSet()


def unlock_in_child(owner: Any) -> None:
    """Give an object a new ``_lock`` in every forked child."""
    _locked.add(owner)


def _unlock_all() -> None:
    for owner in list(_locked):
        owner._lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_all)


class Cache:
    """A dict that forgets its oldest entry when it is full.

    Reading takes no lock: what is there is complete, for values are never changed once stored.

    Args:
        size: largest number of entries.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._entries: dict[Hashable, Any] = {}
        self._lock = threading.Lock()
        unlock_in_child(self)
        self.get = self._entries.get

    def put(self, key: Hashable, value: Any) -> None:
        """Store a value as the newest."""
        with self._lock:
            self._entries.pop(key, None)
            while len(self._entries) >= self._size:
                del self._entries[next(iter(self._entries))]
            self._entries[key] = value

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)
