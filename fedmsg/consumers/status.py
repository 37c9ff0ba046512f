"""How far a consumer has got: a file for its next start, and what it has had already.

Specification: consumers.md 6, CD-10 to CD-12.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import encoding, envelope
from .._limits import RateLimit
from .values import body_of, id_of

_log = logging.getLogger("fedmsg.consumers")

#: Of a file of ours, so much is read at most, characters.
LARGEST = 64 * 2**20
#: Ids of live messages that are remembered while a backlog may bring them again.
_MOST_IDS = 10_000


class Record(NamedTuple):
    """What a status file says.

    Attributes:
        msg_id: of the last message; None if it has none, or the file is not readable as JSON.
        timestamp: when it was sent, seconds since the epoch; else when the file was written.
        done: whether it had been consumed, in whatever way.
    """

    msg_id: str | None
    timestamp: float
    done: bool


class StatusFile:
    """The last message that a consumer has begun or finished.

    With several workers it is the oldest that one of them has begun and not finished, so that a
    crash skips none.

    Args:
        path: the file; its directories are made.

    Attributes:
        lock: held while it is written.
        only: if set, only messages for which it is true are recorded.

    Raises:
        OSError: a directory cannot be made.
    """

    def __init__(self, path: str) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.path, self.lock = path, threading.Lock()
        self.only: Callable[[Any], bool] | None = None
        #: id() -> a message in work, and its msg_id.
        self._begun: dict[int, tuple[Any, str | None]] = {}
        self._written: tuple[int, str] | None = None
        self._limit = RateLimit()

    def begin(self, message: Any) -> None:
        """Record that a message is being consumed."""
        if self.only is not None and not self.only(message):
            return
        with self.lock:
            self._begun[id(message)] = message, id_of(message)
            self._write_oldest()

    def end(self, message: Any) -> str | None:
        """Record that it has been, and return its ``msg_id``.

        That is what it was in the beginning, for the consumer may have changed the message.
        """
        begun, msg_id = self._begun.get(id(message), (None, id_of(message)))
        if begun is None and self.only is not None and not self.only(message):
            return msg_id
        with self.lock:
            self._begun.pop(id(message), None)
            if self._begun:
                self._write_oldest()
            else:
                self._write(message, "post")
        return msg_id

    def _write_oldest(self) -> None:
        oldest, _ = next(iter(self._begun.values()))
        if self._written != (id(oldest), "pre"):
            self._write(oldest, "pre")

    def _write(self, message: Any, status: str) -> None:
        """Replace the file; if that fails, the one before stays."""
        try:
            replace_file(self.path, encoding.dumps({"message": message, "status": status}))
            self._written = id(message), status
        except (OSError, TypeError, ValueError, RecursionError) as error:
            if self._limit.allow():
                _log.error("cannot write the status file %s: %s", self.path, error)

    def read(self) -> tuple[str, float]:
        """Return the text and the time of the last change, seconds since the epoch.

        Of a file that is larger than it can be, the beginning, which is not JSON.

        Raises:
            OSError: there is none, or it cannot be read.
        """
        with open(self.path, encoding="utf-8", errors="replace") as file:
            return file.read(LARGEST), os.fstat(file.fileno()).st_mtime


def replace_file(path: str, text: str, sync: bool = False) -> None:
    """Replace a file whole.

    Args:
        path: the file.
        text: its new content.
        sync: wait for the disk, so that a power failure leaves the old or the new content.

    Raises:
        OSError: it cannot be written; the one before stays.
        ValueError: UTF-8 cannot express the text; likewise.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)  # left by a crash; or a link, laid for us to follow
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def parse(text: str, modified: float) -> Record:
    """Return what the text of a status file says.

    Args:
        text: the content; of whatever kind.
        modified: stands for a time stamp that is missing.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    content = envelope.parse(text)
    content = content if isinstance(content, dict) else {}
    message = content.get("message")
    body = body_of(message) if isinstance(message, dict) else None
    sent = body.get("timestamp") if isinstance(body, dict) else None
    if not isinstance(sent, (int, float)) or isinstance(sent, bool) or not 0 < sent < 1e11:
        sent = modified
    return Record(id_of(message), sent, content.get("status") != "pre")


class Seen:
    """Keeps live messages and those of a backlog from being consumed twice, by ``msg_id``.

    Attributes:
        filled: whether the backlog is complete.
    """

    def __init__(self) -> None:
        self.filled = False
        self._lock = threading.Lock()
        self._live: dict[str, None] = {}
        self._offered: dict[str, bool] = {}
        self._open: set[str] = set()

    def offer(self, msg_id: str | None) -> bool:
        """Return whether a message of the backlog is to be queued."""
        if msg_id is None:
            return True
        with self._lock:
            if msg_id in self._live or msg_id in self._offered:
                return False
            self._offered[msg_id] = False
            self._open.add(msg_id)
            return True

    def take(self, msg_id: str | None) -> bool:
        """Return whether a message is to be consumed, wherever it comes from."""
        if msg_id is None:
            return True
        with self._lock:
            taken = self._offered.get(msg_id)
            if taken is not None:
                self._offered[msg_id] = True
                return not taken
            if not self.filled:
                self._live[msg_id] = None
                if len(self._live) > _MOST_IDS:
                    del self._live[next(iter(self._live))]
            return True

    def done(self, msg_id: str | None) -> None:
        """Say that a message has been consumed, or cannot be."""
        with self._lock:
            self._open.discard(msg_id or "")

    def is_of_backlog(self, message: Any) -> bool:
        """Whether a message was offered."""
        return id_of(message) in self._offered

    @property
    def caught_up(self) -> bool:
        """Whether all of the backlog is there and done."""
        return self.filled and not self._open
