"""Receiving from many publishers: one SUB socket an endpoint, one selector over all of them.

The sockets belong to the thread that iterates :meth:`Subscriber.frames`.  Names are looked up in
daemon threads; an endpoint joins when its address is known, and a name is looked up again when
its publisher goes away.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zmq

from . import addresses
from .sources import Bind, Source, attach, new_socket, parsed
from .zeromq import base_get, end_monitor, read_monitor

_log = logging.getLogger("fedmsg.transports.subscriber")

#: Messages taken from one socket before the others get their turn.
DRAIN = 1000
#: Size at which a burst ends, bytes.
_BURST_BYTES = 4 * 1024 * 1024
#: Seconds between two look-ups of a name whose publisher is not connected: first, largest.
_LOOKUP_AGAIN = 1.0
_LOOKUP_AGAIN_MAX = 60.0
#: Seconds after which the main thread looks for signals, at the latest.
_LONGEST_WAIT = 1.0
_NOBLOCK = int(zmq.NOBLOCK)
_RCVMORE = int(zmq.RCVMORE)
_EVENTS = zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED

Frames = list[bytes]
#: Stands for no message: see :attr:`Subscriber.idle`.
IDLE: tuple[str, str, list[Any]] = ("", "", [])


class Subscriber:
    """Receives what the publishers of ``endpoints`` send.

    Args:
        context: the zmq context.
        endpoints: ``(name, address)`` pairs.
        topics: byte prefixes to subscribe to.
        options: ``(option, value)`` pairs for ``setsockopt``, set before anything else.
        bind: bind to what this makes of an address, instead of connecting to it.
        watch: count the connections to numeric addresses, too.

    Attributes:
        reconnects: how often a connection was made again; with ``watch``, or for a host name.
        idle: when nothing has happened for so many seconds, yield :data:`IDLE`; 0 for never.
        blocking: False: where it would wait, yield :data:`IDLE` instead.  The caller then waits
            for :meth:`fileno` to be readable, or for ``due`` seconds, and goes on iterating.
        due: seconds after which there is something to do even if nothing arrives; None for never.

    Raises:
        zmq.ZMQError: an address cannot be bound; or the options are wrong.
    """

    idle: float = 0.0
    blocking: bool = True
    due: float | None = None

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoints: Iterable[tuple[str, str]],
        topics: Iterable[bytes] = (b"",),
        options: Iterable[tuple[int, int]] = (),
        bind: Bind = None,
        watch: bool = False,
    ) -> None:
        self._context, self._topics, self._options = context, tuple(topics), tuple(options)
        self._stopping = self._abandoned = False
        self._watch, self.reconnects = watch and not bind, 0
        self._closed = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._sources: list[Source] = []
        self._hosts: dict[str, _Host] = {}
        self._answers: deque[tuple[str, str | None]] = deque()
        self._changes: deque[tuple[int, bytes]] = deque()
        try:
            for name, endpoint, address in parsed(endpoints):
                self._add(name, endpoint, address, bind)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, endpoint: str, address: addresses.Address, bind: Bind) -> None:
        """Open one endpoint."""
        sock = new_socket(self._context, self._topics, self._options)
        source = Source(name, endpoint, address, sock)
        self._sources.append(source)
        numeric = bool(bind) or address.is_numeric
        if self._watch or not numeric:
            source.monitor = sock.get_monitor_socket(_EVENTS)
            read_monitor(source.monitor)  # only then does its descriptor show the first event
            self._selector.register(source.monitor.fd, selectors.EVENT_READ, source)
        if numeric:
            source.connected_to = attach(sock, name, address, address.host, bind)
        else:
            self._hosts.setdefault(address.host, _Host()).sources.append(source)
        self._selector.register(int(sock.fd), selectors.EVENT_READ, source)

    def frames(self) -> Iterator[tuple[str, str, Frames]]:
        """Yield ``(name, endpoint, frames)`` for ever, or until :meth:`stop`.

        A readable socket is drained, up to :data:`DRAIN` messages, before the others are looked
        at again, so that one busy publisher neither costs a poll a message nor starves anybody.
        """
        return self._each(self._drain)

    def bursts(self) -> Iterator[tuple[str, str, list[Frames]]]:
        """Yield ``(name, endpoint, [frames, ...])``: what one drain of a socket gave."""
        return self._each(self._burst)

    def _each(self, drain: Callable[[Source, deque[Source]], Iterator[Any]]) -> Iterator[Any]:
        ready: deque[Source] = deque(self._sources)
        try:
            while not self._stopping:
                for _ in range(len(ready)):
                    source = ready.popleft()
                    yield from drain(source, ready)
                if self._stopping or self._wait(ready):
                    continue
                if self.idle or not self.blocking:
                    yield IDLE
        except zmq.ContextTerminated:
            return
        finally:
            self.close()

    def _drain(self, source: Source, ready: deque[Source]) -> Iterator[tuple[str, str, Frames]]:
        """Yield up to ``DRAIN`` messages; if there may be more, put the source back."""
        recv, get = source.sock.recv, base_get(source.sock)
        name, endpoint = source.name, source.endpoint
        try:
            for _ in range(DRAIN):
                frames = [recv(_NOBLOCK)]
                while get(_RCVMORE):
                    # Of a message with too many frames the count is all that matters.
                    frames[2:] = [recv(_NOBLOCK)]
                yield name, endpoint, frames
                if self._stopping:
                    return
        except zmq.Again:
            return
        ready.append(source)

    def _burst(self, source: Source, ready: deque[Source]) -> Iterator[Any]:
        """Yield the next messages of a source at one go, bounded in number and in bytes."""
        recv, get = source.sock.recv, base_get(source.sock)
        burst: list[Frames] = []
        size = 0
        try:
            while len(burst) < DRAIN and size < _BURST_BYTES:
                frames = [recv(_NOBLOCK)]
                while get(_RCVMORE):
                    frames[2:] = [recv(_NOBLOCK)]
                size += len(frames[-1])
                burst.append(frames)
            ready.append(source)
        except zmq.Again:
            pass
        if burst:
            yield source.name, source.endpoint, burst

    def _wait(self, ready: deque[Source]) -> bool:
        """Wait for something to happen, unless a source is ready already; return whether it did."""
        now = time.monotonic()
        due = self._look_up_due(now)
        if self.idle:
            due = self.idle if due is None else min(due, self.idle)
        self.due = due
        # A signal that comes just before the call has its handler run after it: see that it ends.
        timeout = 0.0 if ready or not self.blocking else _LONGEST_WAIT if due is None else due
        found = set(ready)
        for key, _ in self._selector.select(timeout):
            source = key.data
            if source is None:
                self._read_answers(ready)
            elif source.monitor is not None and key.fd == source.monitor.fd:
                self._read_monitor(source)
            elif source not in found:
                ready.append(source)
                found.add(source)
        return bool(found)

    def _look_up_due(self, now: float) -> float | None:
        """Start the look-ups that are due; return seconds until the next, None for never."""
        waits = []
        for name, host in self._hosts.items():
            if all(source.up for source in host.sources):
                continue
            if host.pending is not None and host.pending.is_alive():
                continue
            if now >= host.due:
                host.due = now + host.interval
                host.interval = min(host.interval * 2, _LOOKUP_AGAIN_MAX)
                host.pending = addresses.lookup_later(name, self._looked_up)
            else:
                waits.append(host.due - now)
        return min(waits, default=None)

    def fileno(self) -> int:
        """Return a descriptor that is readable while there is something to do, -1 if closed.

        Raises:
            NotImplementedError: the selector of this platform has none.
        """
        if self._closed.is_set():
            return -1
        number = getattr(self._selector, "fileno", None)
        if number is None:
            raise NotImplementedError(f"{type(self._selector).__name__} has no descriptor")
        return int(number())

    def _looked_up(self, host: str, found: str | None) -> None:
        """Called in the thread of a look-up."""
        self._answers.append((host, found))
        self._wake()

    def _wake(self) -> None:
        # Full: it will wake up anyway.  Closed: nobody waits any more.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def _read_answers(self, ready: deque[Source]) -> None:
        """Do what other threads ask for, and connect the endpoints whose names are known now.

        A call on a socket may consume the event that its descriptor would have shown, so they
        have to be looked at: they join ``ready``.
        """
        self._wake_in.recv(4096)
        while self._changes:
            option, topic = self._changes.popleft()
            for source in self._sources:
                source.sock.setsockopt(option, topic)
            ready.extend(self._sources)
        while self._answers:
            name, found = self._answers.popleft()
            host = self._hosts[name]
            host.pending = None
            if found is None:
                if not host.warned:
                    host.warned = True
                    _log.warning("Couldn't resolve %r", name)
                continue
            for source in host.sources:
                if not source.up:
                    source.connect(found)
                    ready.append(source)

    def _read_monitor(self, source: Source) -> None:
        """A publisher came or went."""
        for event, _ in read_monitor(source.monitor):
            source.up = event == zmq.EVENT_CONNECTED
            if source.up:
                self.reconnects += source.known
                source.known = True
            host = self._hosts.get(source.address.host)
            if host is not None:  # else it is an address
                host.due, host.interval = time.monotonic() + _LOOKUP_AGAIN, _LOOKUP_AGAIN

    def change(self, topic: bytes, wanted: bool) -> None:
        """Subscribe to one more prefix, or to one less; from any thread."""
        self._changes.append((zmq.SUBSCRIBE if wanted else zmq.UNSUBSCRIBE, topic))
        self._wake()

    def stop(self) -> None:
        """End the iteration, from any thread: it closes the sockets where they are used."""
        self._stopping = True
        self._wake()

    def wait_closed(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the sockets to be closed; return whether they are."""
        return self._closed.wait(timeout)

    def abandon(self) -> None:
        """In a forked child: end, and leave the sockets to the parent."""
        self._stopping = self._abandoned = True
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def close(self) -> None:
        """Close every socket.  Only for the thread that iterates, or when none does."""
        self._stopping = True
        if self._abandoned or self._closed.is_set():
            return
        self._selector.close()
        for source in self._sources:
            if source.monitor is not None:
                end_monitor(source.sock, source.monitor)
            source.sock.close(linger=0)
        self._wake_in.close()
        self._wake_out.close()
        self._closed.set()


class _Host:
    """A host given by name: who needs it, and when it is looked up next."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.pending: threading.Thread | None = None
        self.due = 0.0
        self.interval = _LOOKUP_AGAIN
        self.warned = False
