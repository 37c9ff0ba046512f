"""Publishing through a relay: the socket connects, and knows whether the relay is there."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import zmq

from .._limits import RateLimit
from ..exceptions import RelayUnavailable
from . import addresses, forksafe
from .zeromq import (
    _NOBLOCK,
    _NOBLOCK_MORE,
    SocketOptions,
    ZmqPublisher,
    end_monitor,
    read_monitor,
)

_log = logging.getLogger("fedmsg.transports.relay")

#: Messages kept until the first subscription of a relay arrives.
HELD_MESSAGES = 1000
#: How often a publisher that holds messages looks for the relay, seconds.
_WATCH_SECONDS = 0.05
#: How long one address is tried before the next (twice as long each time round); how long a relay
#: may be away before another address is tried, or its name is looked up again; seconds.
_SHORTEST_TURN = 0.25
_OUTAGE_TURN = 5.0
#: Longest wait for libzmq to forget the subscriptions of a relay that is given up, seconds.
_FORGET_SECONDS = 1.0
_EVENTS = zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED


class RelayPublisher(ZmqPublisher):
    """Connects to one of the addresses of a relay.

    Messages are held here while no relay is there to take them: libzmq drops what is sent before
    the relay's subscription has arrived, and cannot say how much waits for one that went away.

    Args:
        context: the zmq context.
        name: key that named the addresses.
        endpoints: addresses, tried in turn until one subscribes; never two at once.
        options: socket options.
        settle: seconds that :meth:`open` waits for the relay's subscription.
        timeout: seconds that the first :meth:`send` waits for it, with ``required``.
        required: :meth:`send` raises until a relay has subscribed, instead of holding.
        outage_limit: messages held while a relay that was there is away, 0 for no limit.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        name: str,
        endpoints: Sequence[str],
        options: SocketOptions,
        settle: float = 0.0,
        timeout: float = addresses.DEFAULT_TIMEOUT,
        required: bool = False,
        outage_limit: int = 100_000,
    ) -> None:
        super().__init__(context, name, endpoints, options)
        self._settle = settle
        self._timeout = timeout or addresses.DEFAULT_TIMEOUT
        self._required, self._waited = required, False
        self._outage_limit = outage_limit
        self._addresses = [addresses.parse(endpoint) for endpoint in endpoints]
        self._turn, self._turns, self._turn_ends = -1, -1, 0.0
        self._lookups: dict[str, threading.Thread] = {}
        self._found = ""
        self._connected_to = ""
        self._monitor: zmq.Socket[bytes] | None = None
        self._fd = -1
        self._ever = self._lost = self._dropping = False
        self._held: deque[tuple[bytes, bytes]] = deque()
        self._drop_limit = RateLimit()
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None

    def open(self) -> None:
        """Connect, and wait up to ``settle`` seconds for the relay to subscribe."""
        with self._lock:
            sock = self._new_socket(any(address.ipv6 for address in self._addresses))
            self._monitor = sock.get_monitor_socket(_EVENTS)
            self._use(sock)
        self.wait_for_subscriptions(1, self._settle)

    @property
    def ready(self) -> bool:
        """True while a relay is connected and has subscribed."""
        return self.subscriptions > 0 and not self._lost

    def _seek(self) -> None:
        """Without a relay: take the next step towards one; the caller holds the lock."""
        if time.monotonic() >= self._turn_ends:
            self._next_turn()
        endpoint, self._found = self._found, ""
        if not endpoint or endpoint == self._connected_to or self.socket is None:
            return
        if self._connected_to:
            self._leave()
        self._connected_to = endpoint
        if addresses.is_ipv6(endpoint):
            self.socket.setsockopt(zmq.IPV6, 1)
        self.socket.connect(endpoint)

    def _leave(self) -> None:
        """Give the present relay up: neither its subscriptions nor its events count any more."""
        assert self.socket is not None
        if self._ever:
            _log.warning(
                "leaving the relay at %s: what zeromq had queued for it is lost", self._connected_to
            )
        self.socket.disconnect(self._connected_to)
        deadline = time.monotonic() + _FORGET_SECONDS
        # Its subscription is withdrawn in the background, and must not be taken for the next one's.
        while self.subscriptions and time.monotonic() < deadline:
            before = self.subscriptions
            self.socket.poll(int(_WATCH_SECONDS * 1000), zmq.POLLIN)
            super()._service()
            if self.subscriptions < before:
                break
        self.subscriptions = 0

    def _next_turn(self) -> None:
        """Try the next address of the list; one that is a name is looked up in a thread."""
        self._turns += 1
        self._turn = (self._turn + 1) % len(self._addresses)
        address = self._addresses[self._turn]
        turn = max(self._settle, _SHORTEST_TURN) * 2 ** min(self._turns // len(self._addresses), 8)
        self._turn_ends = time.monotonic() + (
            _OUTAGE_TURN if self._ever else min(turn, max(self._settle, _OUTAGE_TURN))
        )
        if address.is_numeric:
            self._found = addresses.to_connect(address)
        elif address.host not in self._lookups or not self._lookups[address.host].is_alive():
            self._lookups[address.host] = addresses.lookup_later(address.host, self._looked_up)

    def _looked_up(self, host: str, found: str | None) -> None:
        """Called in the thread of a look-up."""
        address = self._addresses[self._turn]
        if address.host != host:
            return
        if found is None:
            _log.warning("Couldn't resolve %r of the relay address %s", host, address.text)
        else:
            self._found = addresses.to_connect(address, found)

    def _service(self) -> None:
        super()._service()
        self._read_events()
        if not self.ready:
            self._seek()
            return
        self._ever = True
        self._release_held()

    def _read_events(self) -> None:
        """Learn what became of the connection; the caller holds the lock."""
        for event, value in read_monitor(self._monitor) if self._monitor is not None else ():
            if event == zmq.EVENT_CONNECTED:
                self._fd = value
                forksafe.register(value)
            elif event == zmq.EVENT_DISCONNECTED:
                self._relay_lost()
            elif self._lost:
                self._lost = False
                _log.warning("the relay at %s is back", self._where())

    def before_fork(self) -> None:
        """See :meth:`Transport.before_fork`: the connection may be there and not known yet."""
        # Held by another thread it cannot be waited for: that one may wait for a relay.
        if self._lock.acquire(blocking=False):
            try:
                self._read_events()
            finally:
                self._lock.release()

    def _release_held(self) -> None:
        """Send what is held, in order; where a limited queue is full, the rest stays."""
        while self._held:
            topic, body = self._held[0]
            try:
                self._raw_send(topic, _NOBLOCK_MORE)
            except zmq.Again:
                return
            self._raw_send(body, _NOBLOCK)
            self._held.popleft()

    def _relay_lost(self) -> None:
        forksafe.discard(self._fd)
        if self.ready:
            self._lost = True
            if self._addresses[self._turn].is_numeric:
                self._turn_ends = time.monotonic() + _OUTAGE_TURN
            else:  # look the same name up again, now
                self._turn, self._turn_ends = self._turn - 1, 0.0
            _log.warning("lost the relay at %s; messages wait for it", self._where())

    def _dispatch(self, topic: bytes, body: bytes) -> None:
        if self.socket is None:
            self._refuse()
        if not self.ready or self._held:
            self._service()
        if not self.ready and not self._ever and self._required and not self._await_relay():
            raise RelayUnavailable(
                f"no relay answered at {self._where()} within {self._timeout:g} s, and the message"
                " was not sent. Start one with the command 'fedmsg-relay' if that is its address,"
                " or configure 'relay_inbound' or 'endpoints' (to publish without a relay) in"
                " fedmsg.d/."
            )
        if self.ready and not self._held:
            self._transmit(topic, body)
        else:
            self._hold(topic, body)

    def _hold(self, topic: bytes, body: bytes) -> None:
        """Keep one message for a relay that is not there."""
        limit = self._outage_limit if self._ever else HELD_MESSAGES
        if limit and len(self._held) >= limit:
            self._drop(f"{limit} messages wait for it already")
            return
        self._dropping = False
        self._held.append((topic, body))
        if self._watcher is None:
            watcher = threading.Thread(target=self._watch, name="fedmsg-relay-watch", daemon=True)
            # No new threads while the interpreter goes away: close() sends what is held.
            with contextlib.suppress(RuntimeError):
                watcher.start()
                self._watcher = watcher

    def _await_relay(self) -> bool:
        """Wait for a relay, the first time only; the caller holds the lock."""
        deadline = time.monotonic() + (0 if self._waited else self._timeout)
        self._waited = True
        while not self.ready and time.monotonic() < deadline and self.socket is not None:
            self.socket.poll(int(_WATCH_SECONDS * 1000), zmq.POLLIN)
            self._service()
        return self.ready

    def _drop(self, reason: str) -> None:
        self.undelivered += 1
        if not self._dropping:
            self._dropping = True
            self.overflows += 1
        if self._drop_limit.allow():
            _log.error(
                "message not delivered: no relay at %s, and %s; undelivered so far: %d",
                self._where(), reason, self.undelivered,
            )  # fmt: skip

    def _where(self) -> str:
        return " or ".join(self._endpoints)

    def _watch(self) -> None:
        """In a thread: see to it that held messages leave without another publish."""
        while not self._closing.wait(_WATCH_SECONDS):
            with self._lock:
                self._service()
                if not self._held:
                    self._watcher = None
                    return

    def flush(self, timeout: float) -> int:
        """Wait for the relay to take what is held; return how many messages remain.

        What libzmq has accepted for a relay that is connected counts as taken.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if self.socket is not None:
                    self._service()
                if not self._held or self.socket is None or time.monotonic() >= deadline:
                    return len(self._held)
            self._closing.wait(_WATCH_SECONDS)

    def close(self, linger: float = 1.0) -> None:
        """See :meth:`Transport.close`; what cannot be delivered is counted and logged."""
        deadline = time.monotonic() + linger
        remain = self.flush(linger)
        self._closing.set()
        with self._lock:
            if remain:
                self.undelivered += remain
                self._held.clear()
                _log.error(
                    "%d messages were not delivered: no relay at %s; start one there with the"
                    " command 'fedmsg-relay', or correct %r",
                    remain, self._where(), self.name,
                )  # fmt: skip
            if self.socket is not None and self._monitor is not None:
                end_monitor(self.socket, self._monitor)
            self._monitor = None
            forksafe.discard(self._fd)
            watcher = self._watcher
        if watcher is not None:
            watcher.join(1.0)
        # What a relay that came in the last moment has been given needs a moment to leave.
        super().close(min(linger, max(_SHORTEST_TURN, deadline - time.monotonic())))
