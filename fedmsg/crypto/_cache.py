"""Bounded memory, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Any


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
