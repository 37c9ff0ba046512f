"""The bridge as a daemon: its directions, its monitoring, and its end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from .. import options
from ..exceptions import ConfigurationError, FedmsgError
from ..hub import metrics, signals
from ..hub.monitoring import MonitoringProducer, Watched
from ..hub.series import View
from . import forms, report
from .inward import Inward
from .memory import Positions, Seen
from .outward import Outward

_log = logging.getLogger("fedmsg.bridge")

#: What a bridge that is told to stop spends on what it has taken; what its threads get more.
DRAIN_SECONDS = 5.0
_END_SECONDS = 5.0
_LOOK = 1.0

DIRECTIONS = ("both", "in", "out")


def run(config: Mapping[str, Any]) -> None:
    """Carry messages until a signal comes.

    Args:
        config: with the ``bridge_`` options; ``name`` is the publisher that the bridge is.

    Raises:
        ConfigurationError: an option is wrong or missing.
        MissingDependency: the extra ``metrics``, or that of the broker, is not installed.
        NoEndpointAvailable: an address, or the port for metrics, cannot be bound.
        FedmsgError: a direction failed later.
        OSError: the position file cannot be used.
    """
    ways = options.get(config, "bridge_direction")
    if ways not in DIRECTIONS:
        raise ConfigurationError(
            f"Invalid configuration value for 'bridge_direction': {ways!r} is not one of"
            f" {', '.join(DIRECTIONS)}"
        )
    forms.require_name(options.get(config, "bridge_bus"))
    with metrics.serving(config, "bridge") as view:
        _run(config, ways, view)


def _run(config: Mapping[str, Any], ways: str, view: View) -> None:
    over = threading.Event()
    positions = _positions(config, ways)
    try:
        parts = [report.Running(part, over) for part in _parts(config, ways, positions)]
        hub = Watched(config, parts[0])
        hub.consumers = list(parts)
        hub.producers = [MonitoringProducer(hub)]
        with signals.stopping(over.set):
            for part in parts:
                part.thread.start()
            view.begin(lambda: report.samples(parts), lambda: report.obstacle(parts))
            signals.notify("READY=1")
            while not over.wait(_LOOK):
                pass
            view.end()
            _end(parts, hub.producers)
    finally:
        positions.close()
    for part in parts:
        if part.error is not None:
            raise FedmsgError(f"the bridge failed: {part.error}") from part.error


def _positions(config: Mapping[str, Any], ways: str) -> Positions:
    path = options.get(config, "bridge_position_file") or ""
    if ways == "in":
        return Positions("")
    if config.get("replay_endpoints") and not path:
        raise ConfigurationError(
            "fedmsg-bridge needs 'bridge_position_file', such as"
            " '/var/lib/fedmsg/bridge.json': with 'replay_endpoints' it goes on after a crash where"
            " it was"
        )
    return Positions(path)


def _parts(config: Mapping[str, Any], ways: str, positions: Positions) -> list[Any]:
    remembered = options.get(config, "bridge_remember")
    came_in, sent = Seen(remembered), Seen(remembered)
    parts: list[Any] = []
    if ways != "out":
        parts.append(Inward(config, came_in, sent))
    if ways != "in":
        parts.append(Outward(config, positions, came_in, sent))
    return parts


def _end(parts: list[report.Running], producers: list[Any]) -> None:
    signals.notify("STOPPING=1")
    for part in parts:
        part.part.stop(DRAIN_SECONDS)
    for part in parts:
        part.thread.join(DRAIN_SECONDS + _END_SECONDS)
        shown = ", ".join(f"{key}: {value}" for key, value in sorted(part.counts().items()))
        _log.info("%s ends; %s", type(part.part).__name__.lower(), shown or "nothing was received")
        if part.thread.is_alive():
            _log.error("a direction did not end in time; its messages are carried again")
    for producer in producers:
        producer.stop()
