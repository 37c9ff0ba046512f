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
from collections.abc import Iterable, Iterator
from typing import Any

import zmq

from ..exceptions import ConfigurationError
from . import addresses
from .zeromq import base_get, end_monitor, read_monitor

_log = logging.getLogger("fedmsg.transports.subscriber")

#: Messages taken from one socket before the others get their turn.
DRAIN = 1000
#: Seconds between two look-ups of a name whose publisher is not connected: first, largest.
_LOOKUP_AGAIN = 1.0
_LOOKUP_AGAIN_MAX = 60.0
_NOBLOCK = int(zmq.NOBLOCK)
_RCVMORE = int(zmq.RCVMORE)
_EVENTS = zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED

Frames = list[bytes]


class Source:
    """One endpoint: its SUB socket, and, if its host is a name, what is known of that.

    Attributes:
        name: key of ``endpoints``.
        endpoint: address as configured.
        address: the same, taken apart.
        sock: the SUB socket.
    """

    def __init__(self, name: str, endpoint: str, address: addresses.Address, sock: Any) -> None:
        self.name, self.endpoint, self.address, self.sock = name, endpoint, address, sock
        self.monitor: Any = None
        self.connected_to = ""
        self.up = False

    def connect(self, host: str) -> None:
        """Connect to a numeric host, and to nothing else from now on."""
        target = addresses.to_connect(self.address, host)
        if target == self.connected_to:
            return
        if self.connected_to:
            self.sock.disconnect(self.connected_to)
        self.connected_to = attach(self.sock, self.name, self.address, host)


def new_socket(
    context: zmq.Context[Any], topic: bytes, options: Iterable[tuple[int, int]]
) -> zmq.Socket[bytes]:
    """Return a SUB socket that is neither bound nor connected yet."""
    sock: zmq.Socket[bytes] = context.socket(zmq.SUB)
    for option, value in options:
        sock.setsockopt(option, value)
    sock.setsockopt(zmq.LINGER, 0)
    sock.setsockopt(zmq.SUBSCRIBE, topic)
    return sock


def attach(
    sock: zmq.Socket[bytes], name: str, address: addresses.Address, host: str, bind: bool = False
) -> str:
    """Bind or connect a socket; return the numeric endpoint that was used.

    One that cannot be connected to, for its protocol or port, is logged, and the result is empty.

    Raises:
        zmq.ZMQError: the address cannot be bound.
    """
    target = addresses.to_bind(address) if bind else addresses.to_connect(address, host)
    if addresses.is_ipv6(target):
        sock.setsockopt(zmq.IPV6, 1)
    if bind:
        sock.bind(target)
        return target
    try:
        sock.connect(target)
    except zmq.ContextTerminated:
        raise
    except zmq.ZMQError as error:
        _log.warning("skipping an endpoint of %r: %s: %s", name, address.text, error)
        return ""
    return target


def parsed(endpoints: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str, addresses.Address]]:
    """Yield name, endpoint and address; a malformed endpoint is logged and skipped."""
    for name, endpoint in endpoints:
        try:
            yield name, endpoint, addresses.parse(endpoint)
        except ConfigurationError as error:
            _log.warning("skipping an endpoint of %r: %s", name, error)


def resolved(
    endpoints: Iterable[tuple[str, str]], timeout: float, bind: bool = False
) -> Iterator[tuple[str, str, addresses.Address, str]]:
    """Yield name, endpoint, address and numeric host of what resolves within ``timeout``."""
    found = list(parsed(endpoints))
    names = [address.host for _, _, address in found if not (bind or address.is_numeric)]
    hosts = addresses.lookup_all(names, timeout)
    for name, endpoint, address in found:
        host = hosts.get(address.host, address.host)
        if host is not None:
            yield name, endpoint, address, host
    for host in [host for host, numeric in hosts.items() if numeric is None]:
        _log.warning("Couldn't resolve %r", host)


class Subscriber:
    """Receives what the publishers of ``endpoints`` send.

    Args:
        context: the zmq context.
        endpoints: ``(name, address)`` pairs.
        topic: byte prefix to subscribe to.
        options: ``(option, value)`` pairs for ``setsockopt``, set before anything else.
        bind: bind the addresses instead of connecting to them.

    Raises:
        zmq.ZMQError: an address cannot be bound; or the options are wrong.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoints: Iterable[tuple[str, str]],
        topic: bytes = b"",
        options: Iterable[tuple[int, int]] = (),
        bind: bool = False,
    ) -> None:
        self._context, self._topic, self._options = context, topic, tuple(options)
        self._stopping = self._abandoned = False
        self._closed = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._sources: list[Source] = []
        self._hosts: dict[str, _Host] = {}
        self._answers: deque[tuple[str, str | None]] = deque()
        try:
            for name, endpoint, address in parsed(endpoints):
                self._add(name, endpoint, address, bind)
        except BaseException:
            self.close()
            raise

    def _add(self, name: str, endpoint: str, address: addresses.Address, bind: bool) -> None:
        """Open one endpoint."""
        sock = new_socket(self._context, self._topic, self._options)
        source = Source(name, endpoint, address, sock)
        self._sources.append(source)
        if bind or address.is_numeric:
            source.connected_to = attach(sock, name, address, address.host, bind)
        else:
            source.monitor = sock.get_monitor_socket(_EVENTS)
            self._selector.register(source.monitor.fd, selectors.EVENT_READ, source)
            self._hosts.setdefault(address.host, _Host()).sources.append(source)
        self._selector.register(int(sock.fd), selectors.EVENT_READ, source)

    def frames(self) -> Iterator[tuple[str, str, Frames]]:
        """Yield ``(name, endpoint, frames)`` for ever, or until :meth:`stop`.

        A readable socket is drained, up to :data:`DRAIN` messages, before the others are looked
        at again, so that one busy publisher neither costs a poll a message nor starves anybody.
        """
        ready: deque[Source] = deque(self._sources)
        try:
            while not self._stopping:
                for _ in range(len(ready)):
                    source = ready.popleft()
                    yield from self._drain(source, ready)
                if not self._stopping:
                    self._wait(ready)
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

    def _wait(self, ready: deque[Source]) -> None:
        """Wait for something to happen, unless a source is ready already."""
        now = time.monotonic()
        due = self._look_up_due(now)
        timeout = 0.0 if ready else due
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

    def _looked_up(self, host: str, found: str | None) -> None:
        """Called in the thread of a look-up."""
        self._answers.append((host, found))
        self._wake()

    def _wake(self) -> None:
        # Full: it will wake up anyway.  Closed: nobody waits any more.
        with contextlib.suppress(OSError):
            self._wake_out.send(b"x")

    def _read_answers(self, ready: deque[Source]) -> None:
        """Connect the endpoints whose names are known now.

        A call on a socket may consume the event that its descriptor would have shown, so they
        have to be looked at: they join ``ready``.
        """
        self._wake_in.recv(4096)
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
        """A publisher that has a name came or went."""
        for event, _ in read_monitor(source.monitor):
            source.up = event == zmq.EVENT_CONNECTED
            host = self._hosts[source.address.host]
            host.due, host.interval = time.monotonic() + _LOOKUP_AGAIN, _LOOKUP_AGAIN

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
