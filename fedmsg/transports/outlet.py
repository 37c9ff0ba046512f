"""A publishing socket bound to fixed addresses: of a relay, a gateway, a hub."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from . import addresses
from .accepting import AcceptMonitor
from .zeromq import _NOBLOCK, ZmqPublisher

#: The option is a C int.
_LARGEST_MARK = 2**31 - 1


class Outlet(ZmqPublisher):
    """Binds every address, as it is written.

    A PUB socket: of an XPUB one nobody here would read what subscribers send, so that libzmq's
    proxy would wake up over it for ever and a flood would be kept in memory.

    :meth:`send` is for any thread; :attr:`raw_send` and :meth:`transmit` are for one thread and
    take no lock.
    """

    _kind = zmq.PUB
    _monitor: AcceptMonitor | None = None

    def open(self) -> None:
        """Bind.

        Raises:
            ConfigurationError: an address is malformed, or its name does not resolve.
            zmq.ZMQError: an address cannot be bound.
        """
        targets = addresses.literal(self._endpoints)
        sock = self._new_socket(any(addresses.is_ipv6(target) for target in targets))
        # libzmq learns what a subscriber has taken in steps of half the mark, so that up to half
        # of it may look occupied when the subscriber stalls: twice the limit guarantees the limit.
        sock.setsockopt(zmq.SNDHWM, min(2 * self._options.high_water_mark, _LARGEST_MARK))
        self._use(sock)
        for target in targets:
            if addresses.is_taken(addresses.parse(target)):
                raise zmq.ZMQError(errno.EADDRINUSE)
            sock.bind(target)
        self._monitor = AcceptMonitor(self._context, sock, self.name)

    @property
    def accept_failures(self) -> int:
        """Attempts to accept a subscriber that failed: see :class:`AcceptMonitor`."""
        return self._monitor.failures if self._monitor is not None else 0

    @property
    def raw_send(self) -> Callable[..., Any]:
        """Sends one frame: data, flags, copy."""
        return self._raw_send

    def transmit(self, frames: Sequence[bytes | zmq.Frame]) -> None:
        """Send one message of any number of frames."""
        assert self.socket is not None
        try:
            self.socket.send_multipart(frames, _NOBLOCK)
        except zmq.Again:
            self.refused(frames)

    def refused(self, frames: Sequence[bytes | zmq.Frame]) -> None:
        """A subscriber's queue looks full: see :meth:`ZmqPublisher._refused`."""
        self._refused([each if isinstance(each, bytes) else each.bytes for each in frames])
