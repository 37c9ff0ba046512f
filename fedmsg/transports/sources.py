"""Endpoints to receive from: their addresses, and a SUB socket for each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zmq

from ..exceptions import ConfigurationError
from . import addresses

_log = logging.getLogger("fedmsg.transports.subscriber")

#: How to bind an address, None to connect to it.
Bind = Callable[[addresses.Address], str] | None


class Source:
    """One endpoint: its SUB socket, and, if its host is a name, what is known of that.

    Attributes:
        name: key of ``endpoints``.
        endpoint: address as configured.
        address: the same, taken apart.
        sock: the SUB socket.
        up: whether its publisher is connected, where there is a monitor.
        known: whether it ever was.
    """

    def __init__(self, name: str, endpoint: str, address: addresses.Address, sock: Any) -> None:
        self.name, self.endpoint, self.address, self.sock = name, endpoint, address, sock
        self.monitor: Any = None
        self.connected_to = ""
        self.up = self.known = False

    def connect(self, host: str) -> None:
        """Connect to a numeric host, and to nothing else from now on."""
        target = addresses.to_connect(self.address, host)
        if target == self.connected_to:
            return
        if self.connected_to:
            self.sock.disconnect(self.connected_to)
        self.connected_to = attach(self.sock, self.name, self.address, host)


def new_socket(
    context: zmq.Context[Any], topics: Iterable[bytes], options: Iterable[tuple[int, int]]
) -> zmq.Socket[bytes]:
    """Return a SUB socket that is neither bound nor connected yet."""
    sock: zmq.Socket[bytes] = context.socket(zmq.SUB)
    for option, value in options:
        sock.setsockopt(option, value)
    sock.setsockopt(zmq.LINGER, 0)
    for topic in topics:
        sock.setsockopt(zmq.SUBSCRIBE, topic)
    return sock


def attach(
    sock: zmq.Socket[bytes], name: str, address: addresses.Address, host: str, bind: Bind = None
) -> str:
    """Bind a socket to what ``bind`` makes of an address, or connect; return what was used.

    One that cannot be connected to, for its protocol or port, is logged, and the result is empty.

    Raises:
        zmq.ZMQError: the address cannot be bound.
    """
    target = bind(address) if bind else addresses.to_connect(address, host)
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
    endpoints: Iterable[tuple[str, str]], timeout: float, bind: Bind = None
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
