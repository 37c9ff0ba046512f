"""What a bridge remembers: ids, in memory and bounded; and positions, in a file."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO, Any

from ..consumers.status import replace_file
from ..exceptions import ConfigurationError
from ..replay.tracker import seq_id_of


class Seen:
    """The latest ids, for threads.

    Args:
        limit: how many; the oldest is forgotten for the next.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._lock = max(1, limit), threading.Lock()
        self._ids: OrderedDict[str, None] = OrderedDict()

    def add(self, msg_id: str) -> None:
        """Remember an id."""
        with self._lock:
            self._ids[msg_id] = None
            self._ids.move_to_end(msg_id)
            if len(self._ids) > self._limit:
                self._ids.popitem(last=False)

    def __contains__(self, msg_id: str) -> bool:
        with self._lock:
            return msg_id in self._ids


class Positions:
    """Name of a publisher to the number up to which everything is confirmed, kept in a file.

    The file is replaced as a whole, and reaches the disk before the next message is taken.

    Args:
        path: of the file; empty: nothing is kept.

    Raises:
        ConfigurationError: the file is not what this class writes, or another bridge uses it.
        OSError: it cannot be read, or its directory not be written.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock: IO[str] | None = None
        self._kept: dict[str, int] = {}
        if path:
            self._lock = _locked(path)
            try:
                self._kept = _read(path)
            except BaseException:
                self.close()
                raise

    def get(self, name: str) -> int | None:
        """Return the position for a name, None if there is none yet."""
        return self._kept.get(name)

    def save(self, positions: Mapping[str, int]) -> None:
        """Keep new positions.

        Raises:
            OSError: the file cannot be written; the old one is still there.
        """
        kept = {**self._kept, **positions}
        if kept == self._kept:
            return
        if self._path:
            replace_file(self._path, json.dumps(kept), sync=True)
        self._kept = kept

    def close(self) -> None:
        """Let another bridge use the file; idempotent."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _locked(path: str) -> IO[str]:
    """Return a file whose lock is ours until it is closed."""
    import fcntl

    lock = open(f"{path}.lock", "w", encoding="ascii")  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise ConfigurationError(
            f"another bridge uses the position file {path!r}: give each its own"
            " bridge_position_file"
        ) from None
    except BaseException:
        lock.close()
        raise
    return lock


def _read(path: str) -> dict[str, int]:
    found: Any = {}
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        try:
            found = json.load(file)
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict) or any(seq_id_of({"seq_id": n}) is None for n in found.values()):
        raise ConfigurationError(
            f"the position file {path!r} (bridge_position_file) is damaged: restore it, or remove"
            " it to begin with what is published from now on"
        )
    return found
