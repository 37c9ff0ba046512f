"""Hearing one's own messages come back: what a sender can know of their delivery."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Sequence
from typing import Any

import zmq

from fedmsg import encoding, options
from fedmsg.exceptions import ConfigurationError, RelayUnavailable
from fedmsg.transports import addresses
from fedmsg.transports.zeromq import end_monitor, read_monitor

#: Messages of others that are read at a time without waiting.
_BURST = 1000


class Echo:
    """Listens where relays publish, and knows which of some messages came out there.

    Args:
        config: its ``max_message_size`` and ``timeout`` are used.
        endpoints: what relays publish on.

    Attributes:
        pending: ``msg_id`` of what was sent and has not come back.

    Raises:
        ConfigurationError: an address is malformed, or the name of none of them resolves.
    """

    def __init__(self, config: dict[str, Any], endpoints: Sequence[str]) -> None:
        targets = _targets(endpoints, config.get("timeout") or 0)
        self.pending: dict[str, None] = {}
        self._many = len(targets)
        self._endpoints = ", ".join(endpoints)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, options.get(config, "max_message_size") or -1)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        for target in targets:
            self._socket.setsockopt(zmq.IPV6, addresses.is_ipv6(target))
            self._socket.connect(target)

    def __enter__(self) -> Echo:
        return self

    def __exit__(self, *_error: object) -> None:
        end_monitor(self._socket, self._monitor)
        self._socket.close(linger=0)
        self._context.term()

    def join(self, all_within: float, one_within: float) -> None:
        """Wait until a relay has let us in, so that nothing that is sent later is missed.

        Args:
            all_within: seconds in which all may answer; a relay takes the first free address of
                several, so that the others are often silent.
            one_within: seconds in which one must.

        Raises:
            RelayUnavailable: none did.
        """
        joined, start = 0, time.monotonic()
        while joined < self._many:
            left = start + (one_within if not joined else all_within) - time.monotonic()
            if left <= 0 or not self._monitor.poll(int(left * 1000) + 1):
                break
            joined += len(read_monitor(self._monitor))
        if not joined:
            raise RelayUnavailable(
                f"no relay answers at {self._endpoints} (endpoints['relay_outbound']) within"
                f" {one_within:g} s; nothing was sent; start 'fedmsg-relay'"
            )

    def listen(self, at_most: int, timeout: float) -> None:
        """Take what has come back, and wait while too much is pending.

        Args:
            at_most: do not wait if no more than so many are pending.
            timeout: seconds to wait for one of them; each that comes starts it again.
        """
        deadline = time.monotonic() + timeout
        for taken in itertools.count(1):
            waiting = len(self.pending) > at_most
            left = max(0.0, deadline - time.monotonic()) if waiting else 0.0
            if not self.pending or not self._socket.poll(int(left * 1000)):
                return
            if self._take(self._socket.recv_multipart()):
                deadline = time.monotonic() + timeout
            # Others may be talking all the time.
            if time.monotonic() >= deadline if waiting else taken >= _BURST:
                return

    def _take(self, frames: list[bytes]) -> bool:
        """Return whether this was one of the pending messages; it is pending no more."""
        message: Any = None
        with contextlib.suppress(ValueError, RecursionError):
            message = encoding.loads(frames[-1].decode("utf-8"))
        found = message.get("msg_id") if isinstance(message, dict) else None
        if not isinstance(found, str) or found not in self.pending:
            return False
        del self.pending[found]
        return True


def _targets(endpoints: Sequence[str], timeout: float) -> list[str]:
    """Return what to connect to, numeric and each once."""
    parsed = [addresses.parse(endpoint) for endpoint in endpoints]
    known = addresses.lookup_all([each.host for each in parsed if not each.is_numeric], timeout)
    hosts = [(each, known.get(each.host, each.host)) for each in parsed]
    found = [addresses.to_connect(each, host) for each, host in hosts if host is not None]
    if not found:
        raise ConfigurationError(f"Couldn't resolve any of {', '.join(endpoints)}")
    return list(dict.fromkeys(found))
