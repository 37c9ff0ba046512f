"""Closing a thing once, although its own threads may ask for it too."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Ending:
    """Two steps that are done once: what stops the threads, and what has to wait for them.

    Args:
        begin: stops the threads.
        finish: waits for them, and closes what they used.
        is_own: whether a thread is one of those that ``finish`` waits for.
    """

    def __init__(
        self,
        begin: Callable[[], None],
        finish: Callable[[], None],
        is_own: Callable[[threading.Thread], bool],
    ) -> None:
        self._begin, self._finish, self._is_own = begin, finish, is_own
        self._lock = threading.Lock()
        self._owner: threading.Thread | None = None
        self._done = threading.Event()

    @property
    def begun(self) -> bool:
        """Whether somebody has asked for it."""
        return self._owner is not None

    def close(self, patience: float) -> None:
        """Do both steps, or wait until another thread has done them.

        Args:
            patience: longest wait for the other thread, seconds.
        """
        current = threading.current_thread()
        own = self._is_own(current)
        with self._lock:
            first, self._owner = self._owner is None, self._owner or current
        if first:
            self._begin()
            if own:
                threading.Thread(target=self._end, name="fedmsg-hub-end", daemon=True).start()
            else:
                self._end()
        elif self._owner is not current and not own:
            self._done.wait(patience)

    def _end(self) -> None:
        try:
            self._finish()
        finally:
            self._done.set()
