"""A TCP or TLS connection that one thread reads and another writes, every wait bounded."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any

from ..exceptions import ConfigurationError
from . import forksafe
from .stomp_rules import Tls

#: TLS is given so much at a time, so that a slow peer can be told from a dead one; bytes.
_RECORD = 16384
#: How often a wait for the peer looks at what else has happened, seconds.
_LOOK = 0.25
_WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return what connections are encrypted with; it verifies, unless told otherwise.

    Raises:
        ConfigurationError: a file cannot be read or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"Invalid configuration value for 'stomp_ssl_ca': {tls.ca!r}: {error}"
        ) from error
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        try:
            # An encrypted key would have the terminal asked for a password.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"Invalid configuration value for 'stomp_ssl_crt' {tls.certificate!r} or"
                f" 'stomp_ssl_key' {tls.key!r}: {error}"
            ) from error
    return context


class Stream:
    """A connected socket for a thread that reads and one that writes; every wait is bounded.

    Args:
        raw: connected, TLS or not.
    """

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self._is_tls = isinstance(raw, ssl.SSLSocket)
        self._fd = raw.fileno()
        raw.setblocking(False)
        # OpenSSL's objects are not for two threads at a time.
        self._lock: Any = threading.Lock() if self._is_tls else contextlib.nullcontext()
        forksafe.register(self._fd)

    def recv(self, size: int) -> bytes:
        """Return what has arrived, empty at the end; waits until then, or until ``shutdown``."""
        while True:
            try:
                with self._lock:
                    return self._raw.recv(size)
            except _WAITS as error:
                self._wait(error, select.POLLIN, None)

    def send(self, data: bytes, goes_on: Callable[[float], bool]) -> None:
        """Send all of ``data``.

        Args:
            goes_on: asked with the seconds since something was sent whether to wait on.

        Raises:
            TimeoutError: ``goes_on`` has said no.
            OSError: the connection is lost.
        """
        view, size = memoryview(data), _RECORD if self._is_tls else len(data)
        moved = time.monotonic()
        while view:
            try:
                with self._lock:
                    view = view[self._raw.send(view[:size]) :]
                moved = time.monotonic()
            except _WAITS as error:
                if not goes_on(time.monotonic() - moved):
                    raise TimeoutError("the broker does not read what it is sent") from None
                self._wait(error, select.POLLOUT, _LOOK)

    def _wait(self, error: Exception, event: int, seconds: float | None) -> None:
        if isinstance(error, ssl.SSLWantReadError):
            event = select.POLLIN
        elif isinstance(error, ssl.SSLWantWriteError):
            event = select.POLLOUT
        poller = select.poll()
        poller.register(self._fd, event)
        # Under TLS the other thread may have taken in what this one waits for.
        if seconds is None and self._is_tls:
            seconds = 1.0
        poller.poll(None if seconds is None else seconds * 1000)

    def shutdown(self) -> None:
        """End both directions, from any thread: whoever waits is woken."""
        abort(self._raw)

    def close(self) -> None:
        """Give the descriptor back, when nobody reads or writes any more; idempotent."""
        if self._raw.fileno() >= 0:
            forksafe.discard(self._fd)
            self._raw.close()


def abort(raw: socket.socket) -> None:
    """End a connection, or the making of one, without a word."""
    with contextlib.suppress(OSError):
        # Not SSLSocket's method, which would take the TLS object from under its users.
        socket.socket.shutdown(raw, socket.SHUT_RDWR)
