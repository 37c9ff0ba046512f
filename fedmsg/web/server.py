"""Serving the page: a socket, and uvicorn in a thread."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..exceptions import NoEndpointAvailable

_log = logging.getLogger("fedmsg.web")

#: A browser that takes nothing for so long is disconnected, milliseconds.
_STALLED = 60_000
#: Connections at once; longest that one of them may be without a request, seconds.
_MOST_CONNECTIONS, _IDLE = 200, 10.0
#: Connections that wait to be accepted; asyncio accepts as many at a time.
_WAITING = 128
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
    """A connection that is given up when it does not become a request.

    uvicorn waits for ever for the end of one, and refuses everybody while too many wait.  Of too
    many, the one ends that has been without a request for longest.
    """

    def connection_made(self, transport: Any) -> None:
        """Begin to watch; make room."""
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._look()
        if len(self.connections) > _MOST_CONNECTIONS:
            idle = [each for each in self.connections if isinstance(each, _Connection)]
            idle = [each for each in idle if each.is_idle and not each.transport.is_closing()]
            min(idle, key=lambda each: each._idle_since).transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def _look(self) -> None:
        now = self.loop.time()
        if not self.is_idle:
            self._idle_since = now
        elif now - self._idle_since >= _IDLE:
            self.transport.abort()
            return
        self._timer = self.loop.call_later(_IDLE / 4, self._look)

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
                backlog=_WAITING, timeout_graceful_shutdown=_GRACE,
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
