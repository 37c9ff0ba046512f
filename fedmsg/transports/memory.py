"""A transport that keeps what it is given in a list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Transport


def _pair(topic: bytes, body: bytes) -> tuple[bytes, bytes]:
    return topic, body


class MemoryTransport(Transport):
    """Collects what is sent in ``sent``, for tests of applications.

    Args:
        keep: makes an element of the list from topic and body; default: the pair.
    """

    name = "memory"
    may_wait = False

    def __init__(self, keep: Callable[[bytes, bytes], Any] = _pair) -> None:
        self.sent: list[Any] = []
        self._keep = keep

    def open(self) -> None:
        """Nothing to open."""

    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """Append the message to ``sent``."""
        self.sent.append(self._keep(topic, body))

    def close(self, linger: float = 1.0) -> None:
        """Nothing to close; ``sent`` stays readable."""
