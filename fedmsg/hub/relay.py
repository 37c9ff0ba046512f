"""The relay as a daemon: a forwarder, its monitoring, and its end."""

from __future__ import annotations

import logging
import threading
from typing import Any

from .. import options, transports
from ..consumers.relay import RelayConsumer, SigningRelayConsumer
from ..exceptions import FedmsgError
from ..transports.forwarder import Counts, Forwarder
from . import metrics, series, signals
from .discovery import does_what
from .links import addresses_of
from .monitoring import Watched

_log = logging.getLogger("fedmsg.hub")

#: Seconds that the relay spends on what has already arrived when it is told to stop.
DRAIN_SECONDS = 5.0
#: How often the main thread looks whether the forwarder is alive, seconds.
_LOOK = 1.0


def is_plain(consumer: Any) -> bool:
    """True if forwarding frames does all that this class does."""
    return does_what(consumer, SigningRelayConsumer) or does_what(consumer, RelayConsumer)


class _Record:
    """The monitoring record of the consumer that the forwarder stands for (consumers.md 7)."""

    def __init__(self, consumer: type, forwarder: Forwarder) -> None:
        self._consumer, self._forwarder = consumer, forwarder
        self._last = Counts()

    def __json__(self) -> dict[str, Any]:
        counts = self._forwarder.counts()
        last, self._last = self._last, counts
        return {
            "name": self._consumer.__name__,
            "module": self._consumer.__module__,
            "topic": getattr(self._consumer, "topic", "*"),
            "initialized": self._forwarder.running,
            "exceptions": counts.dropped - last.dropped + int(self._forwarder.error is not None),
            "jsonify": True,
            "backlog": 0,
            "headcount_in": counts.received - last.received,
            "headcount_out": counts.sent - last.sent,
            "times": [],
            "received_total": counts.received,
            "sent_total": counts.sent,
            "dropped_total": counts.dropped,
            "overflows_total": counts.overflows,
            "accept_failures_total": self._forwarder.accept_failures,
        }


def run(config: dict[str, Any], consumer: type, producers: list[type]) -> None:
    """Relay until a signal comes.

    Args:
        config: with ``zmq_subscribe_endpoints`` and ``zmq_publish_endpoints``, comma-separated.
        consumer: the class that the monitoring reports.
        producers: classes made with a hub.

    Raises:
        ConfigurationError: a signing relay cannot sign.
        NoEndpointAvailable: an inbound address, the monitoring socket, or the port for metrics,
            cannot be bound.
        zmq.ZMQError: the outbound address cannot be bound.
        FedmsgError: forwarding failed later.
    """
    daemon = "signing-relay" if issubclass(consumer, SigningRelayConsumer) else "relay"
    with metrics.serving(config, daemon) as view:
        _run(config, consumer, producers, view)


def _run(config: dict[str, Any], consumer: type, producers: list[type], view: series.View) -> None:
    inbound = addresses_of(config, "zmq_subscribe_endpoints")
    outbound = ",".join(addresses_of(config, "zmq_publish_endpoints"))
    forwarder = _forwarder(config, consumer, inbound, outbound)
    forwarder.open()
    hub = Watched(config, _Record(consumer, forwarder))
    try:
        hub.producers = [producer(hub) for producer in producers]
    except BaseException:
        forwarder.stop(0)
        raise
    stop = threading.Event()
    with signals.stopping(stop.set):
        forwarder.start()
        _log.info("relaying from %s to %s", ", ".join(inbound), outbound)
        view.begin(lambda: series.of_forwarder(forwarder), lambda: _failure(forwarder))
        signals.notify("READY=1")
        try:
            while forwarder.running and not stop.wait(_LOOK):
                pass
        finally:
            view.end()
            _end(forwarder, hub.producers)
    if forwarder.error is not None:
        raise FedmsgError(f"the relay failed: {forwarder.error}") from forwarder.error


def _forwarder(
    config: dict[str, Any], consumer: type, inbound: list[str], outbound: str
) -> Forwarder:
    parts = inbound, outbound, transports.socket_options(config), options.get(config, "io_threads")
    if not issubclass(consumer, SigningRelayConsumer):
        return Forwarder(*parts)
    # Here, because the other relay starts faster without.
    from ..transports.transforming import TransformingForwarder
    from .signing import signer

    return TransformingForwarder(signer(config), *parts)


def _failure(forwarder: Forwarder) -> str:
    """Return why nothing is relayed; empty if it is."""
    return "" if forwarder.running else f"forwarding has ended: {forwarder.error}"


def _end(forwarder: Forwarder, producers: list[Any]) -> None:
    signals.notify("STOPPING=1")
    for producer in producers:
        producer.stop()
    ended = forwarder.stop(DRAIN_SECONDS)
    counts = forwarder.counts()
    _log.info(
        "relayed %d messages, dropped %d, %d overflows",
        counts.sent, counts.dropped, counts.overflows,
    )  # fmt: skip
    if not ended:
        _log.error("the relay did not end in time; messages may be lost")
