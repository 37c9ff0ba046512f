"""Endpoint addresses: parsing, rewriting for bind and connect, and name look-up.

libzmq is given numeric addresses only.  It resolves names in its I/O thread, so that one name
server that does not answer stops every socket of the context; names are resolved here instead,
in daemon threads.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ..exceptions import ConfigurationError

#: Used where a configured time-out is zero, seconds.
DEFAULT_TIMEOUT = 2.0


class Address(NamedTuple):
    """One endpoint, taken apart.  ``host`` and ``port`` are empty for transports without them."""

    text: str
    scheme: str
    host: str
    port: str

    @property
    def is_numeric(self) -> bool:
        """True if no look-up is needed: not TCP, a wildcard, or a literal address."""
        return self.scheme != "tcp" or self.host == "*" or _family(self.host) is not None

    @property
    def ipv6(self) -> bool:
        """True if the host is an IPv6 literal."""
        return self.scheme == "tcp" and _family(self.host) == socket.AF_INET6


def parse(text: str) -> Address:
    """Take an endpoint such as ``tcp://host:port``, ``tcp://[::1]:port`` or ``ipc://path`` apart.

    Raises:
        ConfigurationError: it is not an endpoint; the text names it and what is missing.
    """
    scheme, found, rest = text.partition("://")
    if not found or not scheme or not rest:
        raise ConfigurationError(f"endpoint {text!r} is not of the form 'tcp://host:port'")
    if scheme != "tcp":
        return Address(text, scheme, "", "")
    host, _, port = rest.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not host or not (port == "*" or _is_port(port)):
        raise ConfigurationError(
            f"endpoint {text!r} needs a host and a port, 'tcp://host:port', port 1 to 65535"
        )
    return Address(text, scheme, host, port)


def to_bind(address: Address) -> str:
    """Return what a publisher binds: all interfaces, for the host part is for subscribers."""
    if address.scheme != "tcp":
        return address.text
    return f"tcp://[::]:{address.port}" if address.ipv6 else f"tcp://*:{address.port}"


def to_connect(address: Address, host: str | None = None) -> str:
    """Return what a subscriber connects to.

    Args:
        address: the endpoint; the wildcard host becomes the loopback address.
        host: its numeric host if the endpoint gives a name.
    """
    if address.scheme != "tcp":
        return address.text
    host = "127.0.0.1" if address.host == "*" else host or address.host
    return f"tcp://{host_and_port(host, address.port)}"


def host_and_port(host: str, port: object) -> str:
    """Return ``host:port``; the host of IPv6 is in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def literal(endpoints: Iterable[str]) -> list[str]:
    """Return what to bind for endpoints that are meant literally: numeric addresses, each once.

    Raises:
        ConfigurationError: one is malformed, or its name does not resolve.
    """
    targets = []
    for endpoint in endpoints:
        address = parse(endpoint)
        host = lookup_within(address, DEFAULT_TIMEOUT)
        if host is None:
            raise ConfigurationError(f"Couldn't resolve {address.host!r} of {endpoint!r}")
        targets.append(endpoint if address.host == "*" else to_connect(address, host))
    return list(dict.fromkeys(targets))


def is_taken(address: Address) -> bool:
    """True if somebody listens on an ``ipc://`` path; libzmq would take it away from them."""
    if address.scheme != "ipc" or not hasattr(socket, "AF_UNIX"):
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address.text[len("ipc://") :])
        except (OSError, ValueError):
            return False
    return True


def is_ipv6(endpoint: str) -> bool:
    """True if a socket needs IPv6 for this numeric endpoint."""
    return endpoint.startswith("tcp://[")


def lookup(host: str) -> str | None:
    """Return one numeric address of ``host``, IPv4 if it has any; None if it does not resolve.

    Blocks for as long as the system's resolver does: call it through :func:`lookup_within` or in
    a thread of its own.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):  # no such name; not a name at all
        return None
    numeric = {family: str(sockaddr[0]) for family, _, _, _, sockaddr in reversed(found)}
    return numeric.get(socket.AF_INET) or numeric.get(socket.AF_INET6)


def lookup_later(host: str, done: Callable[[str, str | None], None]) -> threading.Thread:
    """Resolve ``host`` in a daemon thread, which then calls ``done(host, address or None)``.

    Where no thread can be started, as while the interpreter waits for the last ones, it is
    resolved before this returns.
    """
    thread = threading.Thread(
        target=lambda: done(host, lookup(host)), name=f"fedmsg-lookup-{host}", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:
        thread.run()
    return thread


def lookup_all(hosts: Iterable[str], timeout: float) -> dict[str, str | None]:
    """Return the numeric address of every host, None for what has none within ``timeout`` seconds.

    Args:
        hosts: names, looked up at the same time, each once.
        timeout: seconds for all of them together; 0 is :data:`DEFAULT_TIMEOUT`.
    """
    answers: dict[str, str | None] = dict.fromkeys(hosts)
    threads = [lookup_later(host, answers.__setitem__) for host in list(answers)]
    deadline = time.monotonic() + (timeout or DEFAULT_TIMEOUT)
    for thread in threads:
        if thread.is_alive():
            thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def lookup_within(address: Address, timeout: float) -> str | None:
    """Return the numeric host of ``address``, or None if it has none within ``timeout`` seconds."""
    if address.is_numeric:
        return address.host
    return lookup_all([address.host], timeout)[address.host]


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536


def _family(host: str) -> socket.AddressFamily | None:
    """Return the family of a literal address, None for a name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return family
    return None
