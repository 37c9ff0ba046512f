"""Publishing on ZeroMQ: one that binds, and one that connects to a relay.

Where it matters when somebody listens the socket is an XPUB one.  On the wire it is a PUB socket;
on this side it also shows the subscriptions that arrive.  (ZeroMQ manual: zmq_socket(3),
zmq_setsockopt(3), zmq_socket_monitor(3).)
"""

from __future__ import annotations

import contextlib
import errno
import logging
import struct
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import zmq
import zmq.backend

from .._limits import RateLimit
from ..exceptions import ConfigurationError, NoEndpointAvailable, NoPublisher
from . import addresses, forksafe
from .base import Transport

_log = logging.getLogger("fedmsg.transports.zeromq")

#: What subscribers send is read after so many messages, and at least once a second: reading it
#: costs as much as a publish.
_SERVICE_EVERY = 256
_SERVICE_SECONDS = 1.0
#: Commands read at one go, messages that one peer may queue, and bytes in each.
_COMMANDS_AT_ONCE = 1000
_PEER_QUEUE = 1000
_PEER_BYTES = 64 * 1024

# Plain integers: arithmetic on pyzmq's flag enums costs more than the send.
_NOBLOCK = int(zmq.NOBLOCK)
_NOBLOCK_MORE = int(zmq.NOBLOCK) | int(zmq.SNDMORE)


class SocketOptions(NamedTuple):
    """How publishing sockets are set up.

    Attributes:
        high_water_mark: messages queued for one subscriber, 0 for no limit.
        linger: milliseconds for which a closed socket still delivers.
        others: further ``(option, value)`` pairs for ``setsockopt``.
    """

    high_water_mark: int = 0
    linger: int = 1000
    others: tuple[tuple[int, int], ...] = ()


class ZmqPublisher(Transport):
    """What both publishers share: the socket, its lock, overflow and subscription counting.

    Attributes:
        socket: the XPUB or PUB socket, None while not open.
        subscriptions: how many there are now (a subscriber may have several, or share none); 0 on
            a PUB socket.
    """

    _kind: int = zmq.XPUB

    def __init__(
        self, context: zmq.Context[Any], name: str, endpoints: Sequence[str], options: SocketOptions
    ) -> None:
        self.name = name
        self.socket: zmq.Socket[bytes] | None = None
        self.subscriptions = 0
        self._context = context
        self._endpoints = list(endpoints)
        self._options = options
        self._lock = threading.Lock()
        self._left = _SERVICE_EVERY
        self._service_at = 0.0
        self._overflow_limit = RateLimit()
        self._raw_send: Callable[..., Any] = self._refuse

    def _refuse(self, *_args: object) -> None:
        raise NoPublisher(f"the publisher for {self.name!r} is closed; call fedmsg.init() again")

    def _new_socket(self, ipv6: bool) -> zmq.Socket[bytes]:
        """Return a socket with every option set, for options do nothing after a bind."""
        sock: zmq.Socket[bytes] = self._context.socket(self._kind)
        sock.setsockopt(zmq.SNDHWM, self._options.high_water_mark)
        sock.setsockopt(zmq.RCVHWM, _PEER_QUEUE)
        sock.setsockopt(zmq.MAXMSGSIZE, _PEER_BYTES)
        sock.setsockopt(zmq.LINGER, self._options.linger)
        if self._kind == zmq.XPUB:
            sock.setsockopt(zmq.XPUB_VERBOSER, 1)
        if self._options.high_water_mark:
            sock.setsockopt(zmq.XPUB_NODROP, 1)
        if ipv6:
            sock.setsockopt(zmq.IPV6, 1)
        for option, value in self._options.others:
            sock.setsockopt(option, value)
        return sock

    def _use(self, sock: zmq.Socket[bytes]) -> None:
        """Send through ``sock`` from now on."""
        self.socket = sock
        self.subscriptions = 0
        # The base class's method: the one of zmq.Socket looks at draft options first, which
        # costs more than the send itself.
        self._raw_send = super(zmq.Socket, sock).send

    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """See :meth:`Transport.send`.

        Raises:
            NoPublisher: it is closed.
        """
        with self._lock:
            self._left -= 1
            if self._left < 0 or time.monotonic() >= self._service_at:
                self._service()
            self._dispatch(topic, body)

    def _dispatch(self, topic: bytes, body: bytes) -> None:
        self._transmit(topic, body)

    def _transmit(self, topic: bytes, body: bytes) -> None:
        """Put one message on the socket; the caller holds the lock."""
        try:
            self._raw_send(topic, _NOBLOCK_MORE)
        except zmq.Again:
            self._refused((topic, body))
        else:
            self._raw_send(body, _NOBLOCK)

    def _refused(self, frames: Sequence[bytes]) -> None:
        """A queue looked full: look again, and only then believe it.

        libzmq hears once a millisecond what subscribers have taken.  With a small limit a fast
        publisher finds the queue of a subscriber full that has read everything, and that one would
        lose the message.  Asking for events makes libzmq hear it now.
        """
        assert self.socket is not None
        self.socket.getsockopt(zmq.EVENTS)
        try:
            self.socket.send_multipart(frames, _NOBLOCK)
        except zmq.Again:
            self._overflow(frames)

    def _overflow(self, frames: Sequence[bytes]) -> None:
        """A subscriber's queue is full: count the episode and send to the others.

        With XPUB_NODROP the first refusal is seen, but refuses the message for everybody.  Sent
        once more without it, libzmq skips the slow subscriber until its queue has drained.
        """
        self.overflows += 1
        assert self.socket is not None
        self.socket.setsockopt(zmq.XPUB_NODROP, 0)
        try:
            self.socket.send_multipart(frames, _NOBLOCK)
        finally:
            self.socket.setsockopt(zmq.XPUB_NODROP, 1)
        if self._overflow_limit.allow():
            _log.warning(
                "a subscriber of %r is too slow: its queue of %d messages (high_water_mark) is"
                " full and it loses messages; overflows so far: %d",
                self.name, self._options.high_water_mark, self.overflows,
            )  # fmt: skip

    def _service(self) -> None:
        """Read what subscribers sent; the caller holds the lock."""
        self._left = _SERVICE_EVERY
        self._service_at = time.monotonic() + _SERVICE_SECONDS
        if self.socket is None or self._kind == zmq.PUB:
            return
        for _ in range(_COMMANDS_AT_ONCE):
            try:
                command = self.socket.recv(_NOBLOCK)
            except zmq.Again:
                return
            if command[:1] == b"\x01":
                self.subscriptions += 1
            elif command[:1] == b"\x00":
                self.subscriptions = max(0, self.subscriptions - 1)

    def wait_for_subscriptions(self, count: int, timeout: float) -> bool:
        """Wait until there are ``count`` subscriptions, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                self._service()
                if self.subscriptions >= count or self.socket is None:
                    return self.socket is not None
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self.socket.poll(int(min(left, 0.05) * 1000) + 1, zmq.POLLIN)

    def close(self, linger: float = 1.0) -> None:
        """See :meth:`Transport.close`.  Never waits: the context's termination does."""
        with self._lock:
            sock, self.socket = self.socket, None
            self._raw_send = self._refuse
            if sock is not None:
                sock.close(linger=int(linger * 1000))


class BindPublisher(ZmqPublisher):
    """Binds the first free of several endpoints.

    Args:
        context: the zmq context.
        name: key of ``endpoints``.
        endpoints: addresses as configured; of a TCP one only the port counts.
        options: socket options.
        settle: seconds that :meth:`open` gives subscribers to join.
        wait_for: return from :meth:`open` as soon as there are so many subscriptions; 0 waits
            ``settle`` in full.
    """

    may_wait = False

    def __init__(
        self,
        context: zmq.Context[Any],
        name: str,
        endpoints: Sequence[str],
        options: SocketOptions,
        settle: float = 0.0,
        wait_for: int = 0,
    ) -> None:
        super().__init__(context, name, endpoints, options)
        self.endpoint = ""
        self._settle, self._wait_for = settle, wait_for
        if not wait_for:
            # An XPUB socket keeps every message that a peer sends, whoever that is, and libzmq
            # reads them without end as long as they come: 400 MB/s, in the middle of a publish.
            # A PUB socket throws them away.
            self._kind = zmq.PUB
        self._listener = -1

    def open(self) -> None:
        """Bind.

        Raises:
            NoEndpointAvailable: none could be bound; the text says why for each.
        """
        failures: list[str] = []
        error: Exception | None = None
        for endpoint in self._endpoints:
            try:
                self._bind(addresses.parse(endpoint))
            except (zmq.ZMQError, ConfigurationError) as failure:
                _log.debug("cannot bind %s for %r: %s", endpoint, self.name, failure)
                failures.append(f"{endpoint}: {failure}")
                error = failure
            else:
                self._await_subscribers()
                return
        raise NoEndpointAvailable(
            f"Couldn't find an available endpoint for name {self.name!r}. Tried "
            f"{'; '.join(failures) or 'nothing, the list is empty'}. Every context (process or"
            f" thread) binds one: add addresses to endpoints[{self.name!r}], or publish through"
            " a relay with active=True."
        ) from error

    def _bind(self, address: addresses.Address) -> None:
        endpoint = addresses.to_bind(address)
        if addresses.is_taken(address):
            raise zmq.ZMQError(errno.EADDRINUSE)
        sock = self._new_socket(addresses.is_ipv6(endpoint))
        try:
            self._listener = bind_watched(sock, endpoint)
        except zmq.ZMQError:
            sock.close(linger=0)
            raise
        self._use(sock)
        self.endpoint = sock.getsockopt_string(zmq.LAST_ENDPOINT)
        forksafe.register(self._listener)

    def _await_subscribers(self) -> None:
        if self._wait_for:
            self.wait_for_subscriptions(self._wait_for, self._settle)
        elif self._settle > 0:
            time.sleep(self._settle)

    def close(self, linger: float = 1.0) -> None:
        """See :meth:`Transport.close`."""
        forksafe.discard(self._listener)
        super().close(linger)


def end_context(context: zmq.Context[Any], seconds: float) -> bool:
    """Terminate a context whose sockets are closed; return whether that is done in time.

    A socket that somebody left open would block it for ever.
    """
    thread = threading.Thread(target=context.term, name="fedmsg-term", daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def base_get(sock: zmq.Socket[bytes]) -> Callable[[int], Any]:
    """Return ``get`` of pyzmq's base class, which takes a plain integer and looks at nothing else.

    The one of zmq.Socket costs several times as much; it is called for every frame.
    """
    get: Callable[[int], Any] = super(zmq.Socket, sock).get
    return get


def bind_watched(sock: zmq.Socket[bytes], endpoint: str) -> int:
    """Bind and return the descriptor that listens, -1 for a transport without one.

    Raises:
        zmq.ZMQError: the address cannot be bound.
    """
    monitor = sock.get_monitor_socket(zmq.EVENT_LISTENING)
    try:
        sock.bind(endpoint)
        # The event is in the queue before bind returns.
        events = read_monitor(monitor)
    finally:
        end_monitor(sock, monitor)
    return events[-1][1] if events else -1


def end_monitor(sock: zmq.Socket[bytes], monitor: zmq.Socket[bytes]) -> None:
    """Stop monitoring ``sock``; an open monitor keeps the context from ending."""
    # A context that is being terminated has ended it already.
    with contextlib.suppress(zmq.ContextTerminated):
        sock.disable_monitor()
    monitor.close(linger=0)


def read_monitor(monitor: zmq.Socket[bytes]) -> list[tuple[int, int]]:
    """Return the ``(event, value)`` pairs that wait on a monitor (zmq_socket_monitor(3))."""
    events: list[tuple[int, int]] = []
    try:
        # To the end: only then does its descriptor show the next one.
        while True:
            events.append(struct.unpack("=Hi", monitor.recv_multipart(_NOBLOCK)[0]))
    except zmq.Again:
        return events
