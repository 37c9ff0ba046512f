"""A transport that keeps what it is given in a list."""

from __future__ import annotations

from .base import Transport


class MemoryTransport(Transport):
    """Collects ``(topic, body)`` pairs in ``sent``, for tests of applications."""

    name = "memory"
    may_wait = False

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, bytes]] = []

    def open(self) -> None:
        """Nothing to open."""

    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """Append the pair to ``sent``."""
        self.sent.append((topic, body))

    def close(self, linger: float = 1.0) -> None:
        """Nothing to close; ``sent`` stays readable."""
