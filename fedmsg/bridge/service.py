"""The bridge as a daemon: its directions, its monitoring, and its end."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from .. import options
from ..exceptions import ConfigurationError, FedmsgError
from ..hub import signals
from ..hub.monitoring import MonitoringProducer, Watched
from .inward import Inward
from .memory import Positions, Seen
from .outward import Outward

_log = logging.getLogger("fedmsg.bridge")

#: What a bridge that is told to stop spends on what it has taken; what its threads get more.
DRAIN_SECONDS = 5.0
_END_SECONDS = 5.0
_LOOK = 1.0

DIRECTIONS = ("both", "in", "out")


class _Running:
    """One direction in its thread, and its record for the monitoring (consumers.md 7).

    Attributes:
        error: what ended it.
    """

    def __init__(self, part: Inward | Outward, over: threading.Event) -> None:
        self.part, self._over = part, over
        self.error: Exception | None = None
        self._last: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run, name="fedmsg-bridge", daemon=True)

    def _run(self) -> None:
        try:
            self.part.run()
        except Exception as error:
            self.error = error
        finally:
            self._over.set()

    def counts(self) -> Counter[str]:
        """Return what was counted so far."""
        return Counter(self.part.counts) + Counter(getattr(self.part, "rejected", {}))

    def __json__(self) -> dict[str, Any]:
        counts, last = self.counts(), self._last
        self._last = counts
        done = "sent" if isinstance(self.part, Inward) else "confirmed"
        other = {key: value for key, value in counts.items() if key not in ("received", done)}
        return {
            "name": type(self.part).__name__,
            "module": type(self.part).__module__,
            "topic": "*",
            "initialized": self.thread.is_alive(),
            "exceptions": int(self.error is not None),
            "jsonify": True,
            "backlog": 0,
            "headcount_in": counts["received"] - last["received"],
            "headcount_out": counts[done] - last[done],
            "times": [],
            "received_total": counts["received"],
            "sent_total": counts[done],
            "counts": other,
        }


def run(config: Mapping[str, Any]) -> None:
    """Carry messages until a signal comes.

    Args:
        config: with the ``bridge_`` options; ``name`` is the publisher that the bridge is.

    Raises:
        ConfigurationError: an option is wrong or missing.
        FedmsgError: a direction failed later.
        OSError: the position file cannot be used.
    """
    ways = options.get(config, "bridge_direction")
    if ways not in DIRECTIONS:
        raise ConfigurationError(
            f"Invalid configuration value for 'bridge_direction': {ways!r} is not one of"
            f" {', '.join(DIRECTIONS)}"
        )
    over = threading.Event()
    positions = _positions(config, ways)
    try:
        parts = [_Running(part, over) for part in _parts(config, ways, positions)]
        hub = Watched(config, parts[0])
        hub.consumers = list(parts)
        hub.producers = [MonitoringProducer(hub)]
        with signals.stopping(over.set):
            for part in parts:
                part.thread.start()
            signals.notify("READY=1")
            while not over.wait(_LOOK):
                pass
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


def _end(parts: list[_Running], producers: list[Any]) -> None:
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
