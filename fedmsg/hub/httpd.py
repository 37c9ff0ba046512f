"""An HTTP server for a few small pages, that no client can make wait or grow.

So many connections are open at once; of more, the one is closed that has been silent for longest.
A connection ends after its first answer, or after some seconds, however slowly it is used.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

from .._limits import RateLimit
from .._visible import one_line

_log = logging.getLogger("fedmsg.hub")

#: Connections that are open at once.
_MOST = 8
#: Longest life of a connection, seconds.
_LONGEST = 5.0
#: Longest wait for a connection to end that had to make room, seconds.
_ROOM_SECONDS = 1.0
#: Age of connections is looked at this often, seconds.
_LOOK = 0.25


class Server(socketserver.TCPServer):
    """Serves in a thread of its own, and one for each connection.

    Args:
        host: IP address to listen on.
        port: its port.
        pages: given path and Accept header, returns status, body and content type; called in
            several threads.

    Attributes:
        refused: connections closed unanswered, because too many were open, or too slow.

    Raises:
        OSError: the port cannot be bound.
    """

    allow_reuse_address = True
    request_queue_size = 32

    def __init__(
        self, host: str, port: int, pages: Callable[[str, str], tuple[int, str | bytes, str]]
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages, self.refused = pages, 0
        self._free = threading.Semaphore(_MOST)
        self._open: dict[socket.socket, _Connection] = {}
        self._lock, self._limit = threading.Lock(), RateLimit()
        super().__init__((host, port), _Handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(_LOOK,), name="fedmsg-metrics", daemon=True
        )

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def get_request(self) -> Any:
        """Accept a connection; after a failure there is a pause.

        Without a descriptor the connection goes on waiting, so that the next attempt comes at once.

        Raises:
            OSError: it cannot be accepted.
        """
        try:
            return super().get_request()
        except OSError as error:
            if self._limit.allow():
                _log.error("the server of the metrics cannot accept a connection: %s", error)
            time.sleep(_LOOK)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection in a thread; make room for it if there is none."""
        if not self._free.acquire(blocking=False):
            self._make_room()
            if not self._free.acquire(timeout=_ROOM_SECONDS):
                self.refused += 1
                self.shutdown_request(request)
                return
        thread = threading.Thread(
            target=self._serve, args=(request, client_address), name="fedmsg-metrics-client",
            daemon=True,
        )  # fmt: skip
        with self._lock:
            self._open[request] = _Connection(thread)
        try:
            thread.start()
        except RuntimeError:  # no more threads, or the interpreter ends
            self._forget(request)

    def _serve(self, request: socket.socket, client_address: Any) -> None:
        try:
            request.settimeout(_LONGEST)
            self.finish_request(request, client_address)
        except Exception as error:  # noqa: BLE001  however a client goes, the others stay
            _log.debug("a client of the metrics went: %s", error)
        finally:
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:  # behind it, nobody else closes what may be another's descriptor
            del self._open[request]
        self.shutdown_request(request)
        self._free.release()

    def _make_room(self) -> None:
        """End the connection that has been open for longest without a request."""
        with self._lock:
            waiting = [each for each in self._open.items() if not (each[1].asked or each[1].ended)]
            for request, _ in waiting[:1]:
                self._end(request)

    def service_actions(self) -> None:
        """End connections that have been open for too long."""
        latest = time.monotonic() - _LONGEST
        with self._lock:
            for request, connection in self._open.items():
                if connection.since < latest:
                    self._end(request)

    def _end(self, request: socket.socket) -> None:
        """Have the thread of a connection end; the lock is held."""
        connection = self._open[request]
        if not connection.ended:
            connection.ended = True
            self.refused += 1
        with contextlib.suppress(OSError):
            request.shutdown(socket.SHUT_RDWR)

    def asked(self, request: socket.socket) -> None:
        """A request has been read: it is answered, and not closed to make room."""
        with self._lock:
            self._open[request].asked = True

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """Say that a connection could not be served."""
        _log.debug("a client of the metrics could not be served", exc_info=True)

    def close(self) -> None:
        """End every connection and thread."""
        self.shutdown()
        self.server_close()
        with self._lock:
            threads = [each.thread for each in self._open.values()]
            for request in self._open:
                self._end(request)
        deadline = time.monotonic() + _ROOM_SECONDS
        for thread in (self._thread, *threads):
            thread.join(max(0.0, deadline - time.monotonic()))


class _Connection:
    """An open connection."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread, self.since = thread, time.monotonic()
        self.asked = self.ended = False


class _Handler(BaseHTTPRequestHandler):
    """Answers GET."""

    server: Server
    server_version, sys_version = "fedmsg", ""

    def do_GET(self) -> None:
        """Answer with a page."""
        self.server.asked(self.connection)
        path = self.path.partition("?")[0]
        status, page, kind = self.server.pages(path, self.headers.get("Accept", ""))
        body = page.encode() if isinstance(page, str) else page
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log requests for those who debug only."""
        _log.debug("metrics: %s", one_line(format % args))
