"""The heart-beat that monitoring scripts read: one JSON frame every five seconds (wire.md 4)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

import zmq

from .. import encoding
from ..exceptions import ConfigurationError, NoEndpointAvailable
from ..transports import addresses
from .producers import PollingProducer

_log = logging.getLogger("fedmsg.hub")


class Watched:
    """What the monitoring sees of a daemon that is no hub.

    Args:
        config: the configuration.
        record: has ``__json__``, the record of the consumer that the daemon stands for.
    """

    def __init__(self, config: Mapping[str, Any], record: Any) -> None:
        self.config = config
        self.consumers = [record]
        self.producers: list[Any] = []


class MonitoringProducer(PollingProducer):
    """Publishes what the consumers and producers of a hub say of themselves.

    Args:
        hub: has ``config``, and ``consumers`` and ``producers``, whose items have ``__json__``.

    Raises:
        NoEndpointAvailable: the address of ``moksha.monitoring.socket`` is in use or unusable.
    """

    frequency = 5.0

    def __init__(self, hub: Any) -> None:
        self._socket: zmq.Socket[bytes] | None = None
        endpoint = hub.config.get("moksha.monitoring.socket")
        if not endpoint:
            self.hub = hub
            _log.info("no moksha.monitoring.socket is configured; no heart-beat is sent")
            return
        self._bind(endpoint, hub.config.get("moksha.monitoring.socket.mode"))
        super().__init__(hub)

    def _bind(self, endpoint: str, mode: str | int | None) -> None:
        self._context: zmq.Context[Any] = zmq.Context()
        sock = self._context.socket(zmq.PUB)
        sock.setsockopt(zmq.LINGER, 0)
        try:
            if addresses.is_taken(addresses.parse(endpoint)):
                raise OSError("another process is using it")
            sock.bind(endpoint)
            if endpoint.startswith("ipc://") and mode is not None:
                path = endpoint[len("ipc://") :]
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
        failed = getattr(self.hub, "failed", [])
        report = {
            "consumers": [_record(each) for each in [*self.hub.consumers, *failed]],
            "producers": [_record(each) for each in self.hub.producers],
        }
        self._socket.send(encoding.dumps(report).encode("ascii"))

    def stop(self) -> None:
        """End the reports and close the socket."""
        if self._socket is None:
            return
        super().stop()
        sock, self._socket = self._socket, None
        sock.close(linger=0)
        self._context.term()


def _record(part: Any) -> Any:
    """Return what a consumer or producer says of itself, and if it fails to, that."""
    try:
        record = part.__json__()
        encoding.dumps(record)  # or one plug-in would silence the whole report
        return record
    except (Exception, SystemExit) as error:
        _log.exception("%r gives no monitoring record", part)
        return {
            "name": type(part).__name__, "module": type(part).__module__, "initialized": False,
            "exceptions": 1, "backlog": None, "error": repr(error),
        }  # fmt: skip
