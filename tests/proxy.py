"""A TCP proxy with faults: latency, silence, broken and half-open connections."""

from __future__ import annotations

import contextlib
import socket
import threading

from parts import SlowLink


class FaultProxy(SlowLink):
    """Forwards connections to a target, until told otherwise.

    Args:
        target: endpoint that the connections are for.
        seconds: latency of each piece of up to 64 KiB, each way.
    """

    def __init__(self, target: str, seconds: float = 0.0) -> None:
        super().__init__(target, seconds)
        self._passing = threading.Event()
        self._passing.set()
        self._dead: set[socket.socket] = set()

    def partition(self) -> None:
        """Pass nothing on; connections stay, and what was sent waits."""
        self._passing.clear()

    def heal(self) -> None:
        """Pass on again, first what waited."""
        self._passing.set()

    def cut(self) -> None:
        """Break the connections there are, both ends."""
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def half_open(self) -> None:
        """Break the connections for who made them; the target sees nothing, and nobody reads."""
        for near, far in zip(self._sockets[::2], self._sockets[1::2], strict=False):
            self._dead.add(far)
            with contextlib.suppress(OSError):
                near.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._closing.wait(self._seconds)
                while not self._passing.wait(0.05) and not self._closing.is_set():
                    pass
                target.sendall(data)
                while source in self._dead and not self._closing.is_set():
                    self._closing.wait(0.05)
        for sock in {source, target} - self._dead:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
