"""Messages for browsers: a WebSocket server with the protocol of Moksha's live socket.

A client sends ``{"topic": "__topic_subscribe__", "body": "<beginning of topics>"}`` and receives
``{"topic": ..., "body": ...}`` for each message that matches.  Specification: hub.md 7; RFC 6455.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import threading
from collections.abc import Mapping
from typing import Any

from .. import encoding, options
from .._limits import RateLimit
from ..consumers.message import BusMessage, parsed
from ..consumers.values import as_bool
from ..exceptions import ConfigurationError, MissingDependency, NoEndpointAvailable

_log = logging.getLogger("moksha.hub")

SUBSCRIBE = "__topic_subscribe__"
#: Connections at once, no more than half of the descriptors that this process may have; of those
#: that wait to be accepted, so many are at a time.
_MOST_CLIENTS, _AT_A_TIME = 1000, 128
#: What one client may send at once, bytes; have subscribed to; and have waiting, messages.
_MOST_BYTES = 64 * 1024
_MOST_PATTERNS = 100
_MOST_WAITING = 1000
#: Longest wait for the server to start or to end, seconds.
_PATIENCE = 5.0


def port_of(config: Mapping[str, Any]) -> int:
    """Return the port to serve.

    Raises:
        ConfigurationError: it is missing, zero, or no port number.
    """
    key = "moksha.livesocket.websocket.port"
    try:
        port = int(config.get(key) or 0)
    except (TypeError, ValueError):
        port = 0
    if not 0 < port < 65536:
        raise ConfigurationError(
            f"the websocket server needs a port: set {key!r}, or --websocket-server-port,"
            f" not {config.get(key)!r}"
        )
    return port


class WebSocketServer:
    """Serves the messages of a hub to browsers, in a thread of its own.

    Args:
        hub: has ``config``, ``subscribe``, ``unsubscribe`` and ``send_message``.

    Attributes:
        port: where it listens.
        dropped: messages that clients lost because they read too slowly.
        clients: connections that are open.

    Raises:
        ConfigurationError: there is no port.
        MissingDependency: the extra ``web`` is not installed.
        NoEndpointAvailable: the port cannot be bound.
    """

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.port = port_of(hub.config)
        self.dropped = self.clients = 0
        prefix = "moksha.livesocket.websocket."
        self._interface = options.get(hub.config, prefix + "interface") or None
        self._publishing = as_bool(options.get(hub.config, prefix + "client2server"))
        self._origins = hub.config.get(prefix + "origins")
        self._limit, self._failure_limit = RateLimit(60), RateLimit()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._failed)
        self._ready = threading.Event()
        self._failures: list[Exception] = []
        self._ended: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="fedmsg-websocket", daemon=True)
        self._thread.start()
        self._ready.wait(_PATIENCE)
        if self._failures:
            self.stop()
            raise self._failures[0]

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._ready.set()
            self._loop.close()

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        try:
            from websockets.asyncio.server import ServerConnection, serve
        except ImportError as error:
            text = "the websocket server needs the package websockets: pip install '.[web]'"
            self._fail(MissingDependency(text), error)
            return
        try:
            async with serve(
                self._client, self._interface, self.port,
                origins=self._origins, max_size=_MOST_BYTES, close_timeout=1, logger=_quiet,
                create_connection=_limited(ServerConnection, self), backlog=_AT_A_TIME,
            ):  # fmt: skip
                _log.info("serving websockets on port %d", self.port)
                self._ready.set()
                await self._ended.wait()
        except OSError as error:
            text = (
                f"cannot serve websockets on port {self.port}"
                f" (moksha.livesocket.websocket.port): {error}"
            )
            self._fail(NoEndpointAvailable(text), error)

    def _failed(self, _loop: Any, context: dict[str, Any]) -> None:
        """Report what goes wrong in the loop; without descriptors that is hundreds a second."""
        if self._failure_limit.allow():
            _log.error(
                "the websocket server: %s: %s (%d more not shown)",
                context.get("message"), context.get("exception"), self._failure_limit.suppressed,
            )  # fmt: skip

    def _fail(self, failure: Exception, cause: Exception) -> None:
        failure.__cause__ = cause
        self._failures.append(failure)

    async def _client(self, connection: Any) -> None:
        """Serve one client until it goes."""
        client = _Client(self, connection)
        sender = asyncio.create_task(client.send_all())
        try:
            async for text in connection:
                client.receive(text)
        except Exception as error:  # noqa: BLE001  however a client goes, the others stay
            _log.debug("a websocket client went: %s", error)
        finally:
            sender.cancel()
            self.hub.unsubscribe(client.deliver)

    def complain(self, text: str, *arguments: Any) -> None:
        """Log what a client did, at a bounded rate."""
        if self._limit.allow():
            _log.warning(text, *arguments)

    def publish(self, topic: str, body: Any) -> None:
        """Publish what a client sent, if that is allowed."""
        if self._publishing:
            self.hub.send_message(topic, body)

    def call(self, function: Any, *arguments: Any) -> None:
        """Call a function in the server's thread; from any thread."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # it has ended meanwhile
            return

    def stop(self) -> None:
        """Close every connection and end the thread; idempotent."""
        if self._ended is not None:
            self.call(self._ended.set)
        self._thread.join(_PATIENCE)


def _descriptors() -> int:
    """Return how many descriptors this process may have open."""
    try:
        import resource
    except ImportError:  # not on this system
        return sys.maxsize
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _limited(base: Any, server: WebSocketServer) -> Any:
    """Return a class of connections that ends itself if there are too many of them.

    They would take the descriptors of the hub, which consumers need, too.
    """
    most = min(_MOST_CLIENTS, _descriptors() // 2)

    def connection_made(self: Any, transport: asyncio.Transport) -> None:
        base.connection_made(self, transport)
        server.clients += 1
        if server.clients > most:
            server.complain("a websocket client was sent away: there are %d others", most)
            transport.abort()

    def connection_lost(self: Any, exc: Exception | None) -> None:
        server.clients -= 1
        base.connection_lost(self, exc)

    methods = {"connection_made": connection_made, "connection_lost": connection_lost}
    return type("Limited", (base,), methods)


class _Client:
    """One connection: what it wants, and what waits for it."""

    def __init__(self, server: WebSocketServer, connection: Any) -> None:
        self._server, self._connection = server, connection
        self._patterns: set[str] = set()
        self._waiting: asyncio.Queue[BusMessage] = asyncio.Queue()
        # Counted at once, in the thread that delivers: the queue is filled later.
        self._on_their_way = 0
        self._lock = threading.Lock()

    def receive(self, text: str | bytes) -> None:
        """Do what a client asks for; what makes no sense is logged."""
        try:
            asked = json.loads(text)
            topic, body = asked["topic"], asked["body"]
            if topic == SUBSCRIBE:
                self._subscribe(body)
            elif isinstance(topic, str):
                self._server.publish(topic, body)
        # A topic may have half of a character in it, which UTF-8 has not: a ValueError.
        except (ValueError, TypeError, KeyError, RecursionError):
            self._server.complain("a websocket client sent what is no request: %a", text[:200])

    def _subscribe(self, pattern: Any) -> None:
        if not isinstance(pattern, str) or len(self._patterns) >= _MOST_PATTERNS:
            self._server.complain("a websocket client cannot subscribe to %a", str(pattern)[:200])
        elif pattern not in self._patterns:
            self._server.hub.subscribe(pattern, self.deliver)
            self._patterns.add(pattern)

    def deliver(self, message: BusMessage) -> None:
        """Have one message sent; called in the hub's thread."""
        if not self._may_wait():
            self._server.dropped += 1
            self._server.complain(
                "a websocket client is too slow and loses messages; lost so far: %d",
                self._server.dropped,
            )
            return
        self._server.call(self._waiting.put_nowait, message)

    def _may_wait(self) -> bool:
        with self._lock:
            if self._on_their_way >= _MOST_WAITING:
                return False
            self._on_their_way += 1
        return True

    async def send_all(self) -> None:
        """Send what comes, until cancelled, or until the connection is closed."""
        while True:
            message = await self._waiting.get()
            with self._lock:
                self._on_their_way -= 1
            try:
                await self._connection.send(_text(message))
            except Exception as error:  # noqa: BLE001  the reading side ends the connection
                _log.debug("a websocket message was not sent: %s", error)


def _text(message: BusMessage) -> str:
    """Return the frame for a message; a body that cannot be written again is left as text."""
    try:
        return encoding.dumps({"topic": message.topic, "body": parsed(message.body)})
    except RecursionError:
        return encoding.dumps({"topic": message.topic, "body": message.body})


#: The library logs every connection that goes wrong as an error.  Not one of the hierarchy: setting
#: up logging would reset its level.
_quiet = logging.Logger("fedmsg.hub.websocket", logging.CRITICAL + 1)  # noqa: LOG001
