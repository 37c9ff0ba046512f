"""The gateway as a daemon: what the publishers of the bus send, on one port, bytes unchanged."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from .. import options, transports
from ..consumers.gateway import GatewayConsumer
from ..exceptions import FedmsgError, NoEndpointAvailable
from ..transports.outlet import Outlet
from ..transports.zeromq import SocketOptions, end_context
from . import metrics, series, signals
from .discovery import does_what
from .dispatch import Dispatcher
from .links import addresses_of
from .monitoring import Watched
from .source import ZmqSource

_log = logging.getLogger("moksha.hub")

#: How often the main thread looks whether the source is alive, seconds.
_LOOK = 1.0


def is_plain(consumer: Any) -> bool:
    """True if passing frames on does all that this class does."""
    return does_what(consumer, GatewayConsumer)


class _Gateway(Dispatcher):
    """Sends what arrives, instead of calling anybody; also the record of that (consumers.md 7)."""

    def __init__(self, outlet: Outlet, max_size: int) -> None:
        super().__init__(max_size=max_size)
        self._outlet = outlet
        self._reported = 0

    def dispatch(self, burst: Any, origin: str | None = None) -> None:
        """Send the messages of a burst, wherever they came from."""
        accepted = self._acceptable(burst)
        transmit = self._outlet.transmit
        for frames in accepted:
            transmit(frames)
        self.received += len(accepted)

    def __json__(self) -> dict[str, Any]:
        total = self.received
        new, self._reported = total - self._reported, total
        return {
            "name": GatewayConsumer.__name__, "module": GatewayConsumer.__module__, "topic": "*",
            "initialized": True, "exceptions": 0, "jsonify": False, "backlog": 0,
            "headcount_in": new, "headcount_out": new, "times": [], "received_total": total,
            "dropped_total": sum(self.rejected.values()),
            "overflows_total": self._outlet.overflows,
            "accept_failures_total": self._outlet.accept_failures,
        }  # fmt: skip


def run(config: dict[str, Any], producers: Sequence[Any]) -> None:
    """Pass on until a signal comes.

    Args:
        config: with ``zmq_subscribe_endpoints``, and the gateway's port and high water mark.
        producers: classes made with a hub.

    Raises:
        KeyError: the configuration lacks the gateway's port or high water mark.
        NoEndpointAvailable: the port, the monitoring socket, or the port for metrics, cannot be
            bound.
        FedmsgError: receiving failed later.
    """
    with metrics.serving(config, "gateway") as view:
        _run(config, producers, view)


def _run(config: dict[str, Any], producers: Sequence[Any], view: series.View) -> None:
    port = config["fedmsg.consumers.gateway.port"]
    sockets = SocketOptions(
        config["fedmsg.consumers.gateway.high_water_mark"],
        options.get(config, "zmq_linger"),
        transports.socket_options(config).others,
    )
    context: zmq.Context[Any] = zmq.Context(options.get(config, "io_threads"))
    outlet = Outlet(context, "gateway", [f"tcp://*:{port}"], sockets)
    gateway = _Gateway(outlet, options.get(config, "max_message_size"))
    source = ZmqSource(
        context, addresses_of(config, "zmq_subscribe_endpoints"),
        transports.subscriber_options(config), False, gateway, bool(config.get("metrics_port")),
    )  # fmt: skip
    hub = Watched(config, gateway)
    try:
        _open(outlet, port)
        hub.producers = [cls(hub) for cls in producers]
        _receive(source, lambda: view.begin(*_shown(gateway, outlet, source)))
    finally:
        view.end()
        signals.notify("STOPPING=1")
        source.stop()
        for producer in hub.producers:
            producer.stop()
        outlet.close(sockets.linger / 1000)
        if not end_context(context, sockets.linger / 1000 + 1.0):
            _log.error("a socket keeps the zmq context of the gateway open")
        _log.info(
            "passed on %d messages, dropped %d, %d overflows",
            gateway.received, sum(gateway.rejected.values()), outlet.overflows,
        )  # fmt: skip
    if source.error is not None:
        raise FedmsgError(f"the gateway failed: {source.error}") from source.error


def _open(outlet: Outlet, port: int) -> None:
    try:
        outlet.open()
    except zmq.ZMQError as error:
        raise NoEndpointAvailable(
            f"cannot publish on port {port} (fedmsg.consumers.gateway.port): {error}"
        ) from error


def _shown(gateway: _Gateway, outlet: Outlet, source: ZmqSource) -> tuple[Any, Any]:
    """Return what gives the samples for the metrics, and what tells why it is not ready."""
    return (
        lambda: series.of_gateway(gateway, outlet, source),
        lambda: "" if source.running else f"receiving has ended: {source.error}",
    )


def _receive(source: ZmqSource, begun: Callable[[], None]) -> None:
    stop = threading.Event()
    with signals.stopping(stop.set):
        source.start([b""])
        begun()
        signals.notify("READY=1")
        while source.running and not stop.wait(_LOOK):
            pass
