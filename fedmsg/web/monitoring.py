"""What the daemons of this machine say of themselves: listens to their monitoring sockets."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

import zmq

from .. import envelope
from ..exceptions import ConfigurationError
from . import cutting

_log = logging.getLogger("fedmsg.web")

#: Largest report, bytes; most rows of one; most reports that wait.
_MOST_BYTES, _MOST_ROWS, _MOST_WAITING = 1024 * 1024, 100, 10
_POLL = 100  # milliseconds
_TEXT = 200


class Monitoring:
    """The latest report at each address, received in a thread.

    Args:
        addresses: values of ``moksha.monitoring.socket``.

    Raises:
        ConfigurationError: one of them is no address.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self._lock, self._stopping = threading.Lock(), threading.Event()
        self._reports: dict[str, tuple[float, list[dict[str, Any]]]] = {}
        self._errors: dict[tuple[str, str, str], int] = {}
        self._addresses = list(dict.fromkeys(addresses))
        self._context: zmq.Context[Any] = zmq.Context()
        self._sockets: dict[Any, str] = {}
        try:
            for address in self._addresses:
                self._connect(address)
        except zmq.ZMQError as error:
            self._end()
            raise ConfigurationError(
                f"web_monitoring: cannot listen to {address!r}, which must be an address such as"
                f" 'ipc:///run/fedmsg/monitoring-hub': {error}"
            ) from error
        self._thread = threading.Thread(target=self._run, name="fedmsg-web-monitoring", daemon=True)
        if self._sockets:
            self._thread.start()
        else:
            self._context.term()

    def _connect(self, address: str) -> None:
        sock = self._context.socket(zmq.SUB)
        self._sockets[sock] = address
        sock.setsockopt(zmq.RCVHWM, _MOST_WAITING)
        sock.setsockopt(zmq.MAXMSGSIZE, _MOST_BYTES)
        sock.setsockopt(zmq.SUBSCRIBE, b"")
        sock.connect(address)

    def _run(self) -> None:
        poller = zmq.Poller()
        for sock in self._sockets:
            poller.register(sock, zmq.POLLIN)
        while not self._stopping.is_set():
            for sock, _ in poller.poll(_POLL):
                self._received(self._sockets[sock], sock.recv_multipart())
        self._end()

    def _end(self) -> None:
        for sock in self._sockets:
            sock.close(linger=0)
        self._context.term()

    def _received(self, address: str, frames: list[bytes]) -> None:
        try:
            report = envelope.decode_body(frames[-1])
        except ValueError as error:
            _log.debug("no report from %s: %s", address, error)
            return
        listed = report.get("consumers")
        listed = listed if isinstance(listed, list) else []
        rows = [each for each in listed if isinstance(each, dict)]
        with self._lock:
            found = [self._row(address, each) for each in rows[:_MOST_ROWS]]
            self._reports[address] = (time.monotonic(), found)
            # Nothing is kept of consumers that are gone.
            present = {(address, row["module"], row["name"]) for row in found}
            self._errors = {
                key: count for key, count in self._errors.items()
                if key[0] != address or key in present
            }  # fmt: skip

    def _row(self, address: str, record: dict[str, Any]) -> dict[str, Any]:
        name, module = (cutting.cell(record.get(key), _TEXT) for key in ("name", "module"))
        key = (address, module, name)
        # Each report has those since the one before.
        errors = cutting.number(record.get("exceptions")) or 0
        self._errors[key] = self._errors.get(key, 0) + max(0, int(errors))
        return {
            "address": address, "name": name, "module": module,
            "initialized": record.get("initialized") is not False,
            "backlog": cutting.number(record.get("backlog")),
            "errors": self._errors[key],
            "dropped": cutting.number(record.get("dropped_total")),
        }  # fmt: skip

    def report(self) -> dict[str, Any]:
        """Return the consumers, and for each address the seconds since its last report."""
        now = time.monotonic()
        with self._lock:
            reports = dict(self._reports)
        return {
            "consumers": [row for _, rows in reports.values() for row in rows],
            "monitored": [
                {
                    "address": address[:_TEXT],
                    "age": round(now - reports[address][0], 1) if address in reports else None,
                }
                for address in self._addresses
            ],
        }

    def close(self) -> None:
        """End the thread and close the sockets; idempotent."""
        self._stopping.set()
        if self._sockets:
            self._thread.join(5.0)
