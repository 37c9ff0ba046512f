"""The heart-beat that monitoring scripts read: one JSON frame every five seconds (wire.md 4)."""

from __future__ import annotations

import json
import logging
import os
import time
from typing import Any

import zmq

from ..exceptions import ConfigurationError, NoEndpointAvailable
from ..transports import addresses

_log = logging.getLogger("fedmsg.hub")


class MonitoringProducer:
    """Publishes what the consumers and producers of a hub say of themselves.

    Args:
        hub: has ``config``, and ``consumers`` and ``producers``, whose items have ``__json__``.

    Attributes:
        frequency: seconds between two reports.
        last_ran: when the latest was sent, seconds since the epoch; None before the first.

    Raises:
        NoEndpointAvailable: the address of ``moksha.monitoring.socket`` is in use or unusable.
    """

    frequency = 5.0
    now = False

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.last_ran: float | None = None
        self._exception_count = 0
        self._socket: zmq.Socket[bytes] | None = None
        endpoint = hub.config.get("moksha.monitoring.socket")
        if endpoint:
            self._bind(endpoint, hub.config.get("moksha.monitoring.socket.mode"))
        else:
            _log.info("no moksha.monitoring.socket is configured; no heart-beat is sent")

    @property
    def _initialized(self) -> bool:
        return self._socket is not None

    def _bind(self, endpoint: str, mode: str | int | None) -> None:
        path = endpoint[len("ipc://") :] if endpoint.startswith("ipc://") else ""
        self._context: zmq.Context[Any] = zmq.Context()
        sock = self._context.socket(zmq.PUB)
        sock.setsockopt(zmq.LINGER, 0)
        try:
            if addresses.is_taken(addresses.parse(endpoint)):
                raise OSError("another process is using it")
            sock.bind(endpoint)
            if path and mode is not None:
                os.chmod(path, mode if isinstance(mode, int) else int(mode, 8))
        except (zmq.ZMQError, ConfigurationError, OSError, ValueError) as error:
            sock.close(linger=0)
            self._context.term()
            raise NoEndpointAvailable(
                f"cannot publish monitoring data on {endpoint} (moksha.monitoring.socket, mode"
                f" {mode!r}): {error}"
            ) from error
        self._socket = sock

    def poll(self) -> None:
        """Send one report."""
        if self._socket is None:
            return
        self.last_ran = time.time()
        report = {
            "consumers": [consumer.__json__() for consumer in self.hub.consumers],
            "producers": [producer.__json__() for producer in self.hub.producers],
        }
        self._socket.send(json.dumps(report).encode("utf-8"))

    def __json__(self) -> dict[str, Any]:
        """Return the record of this producer (hub.md 5)."""
        return {
            "name": type(self).__name__,
            "module": type(self).__module__,
            "initialized": self._initialized,
            "exceptions": self._exception_count,
            "frequency": self.frequency,
            "now": self.now,
            "last_ran": self.last_ran,
        }

    def stop(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close(linger=0)
            self._context.term()
            self._socket = None
