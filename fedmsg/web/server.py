"""Serving the page: a socket, and uvicorn in a thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..exceptions import NoEndpointAvailable

_log = logging.getLogger("fedmsg.web")

#: A browser that takes nothing for so long is disconnected, milliseconds.
_STALLED = 60_000
#: Connections at once; of those that wait to be accepted, so many are at a time.
_MOST_CONNECTIONS, _AT_A_TIME = 200, 128
#: Longest wait for the first request of a connection, seconds.
_SILENT = 10.0
_LONGEST_REQUEST = 16 * 1024
#: Longest wait for connections to end, and for the thread, seconds.
_GRACE, _PATIENCE = 1, 10.0


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Args:
        host: address of an interface, or its name.
        port: 0 for any that is free.

    Raises:
        NoEndpointAvailable: the port is taken or is none, or the address is not ours.
    """
    if not 0 <= port < 65536:  # getaddrinfo would take another one
        raise NoEndpointAvailable(f"web_port is {port}, which is no port: 0 to 65535")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.create_server(address[:2], family=family)
    except (OSError, OverflowError, UnicodeError) as error:
        raise NoEndpointAvailable(
            f"cannot serve the page on {host!r}, port {port} (web_host, web_port): {error}"
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Of the connections too: uvicorn has no way to give one up whose peer does not read.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STALLED)
    return sock


class _Connection(H11Protocol):
    """A connection that ends if nothing is asked for, or to make room for the next.

    uvicorn waits for ever for the first request, and holds a descriptor for it.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin; of too many, the one is ended that has been silent for longest."""
        super().connection_made(transport)
        self.since = time.monotonic()
        self._timer = self.loop.call_later(_SILENT, self._end_if_silent)
        every: Any = self.connections
        present = [each for each in every if not each.transport.is_closing()]
        if len(present) > _MOST_CONNECTIONS:
            silent = (each for each in present if each.is_silent)
            min(silent, key=lambda each: each.since).transport.abort()

    @property
    def is_silent(self) -> bool:
        """Whether nothing has been asked for."""
        return not self.cycle

    def _end_if_silent(self) -> None:
        if self.is_silent:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._timer.cancel()
        super().connection_lost(exc)


class Server:
    """Serves an application in a thread of its own.

    Args:
        app: see :func:`fedmsg.web.app.make`.
        sock: see :func:`bind`; it is closed at the end.

        on_end: called, in its thread, when it has ended.

    Attributes:
        port: where it listens.
        failed: whether it ended by itself.
    """

    def __init__(
        self, app: Any, sock: socket.socket, on_end: Callable[[], object] = lambda: None
    ) -> None:
        self._app, self._socket, self._on_end = app, sock, on_end
        self.failed = False
        self.port = sock.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, loop="asyncio", http=_Connection, ws="none", lifespan="off", log_config=None,
                access_log=False, log_level="error", server_header=False, proxy_headers=False,
                backlog=_AT_A_TIME, timeout_graceful_shutdown=_GRACE,
                h11_max_incomplete_event_size=_LONGEST_REQUEST,
            )
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="fedmsg-web-server", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            asyncio.run(self._server.serve(sockets=[self._socket]))
        except Exception:
            _log.exception("the web server ended")
        finally:
            self.failed = not self._server.should_exit
            self._socket.close()
            self._on_end()

    def close(self) -> None:
        """End the streams, then the thread; idempotent."""
        self._app.end()
        self._server.should_exit = True
        self._thread.join(_PATIENCE)
