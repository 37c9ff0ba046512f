"""The hub: runs consumers on the messages of the bus, and producers beside them."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..exceptions import FedmsgError

if TYPE_CHECKING:
    from .central import Hub

__all__ = ["main", "setup_logger"]

#: The hub that runs in this process, None if none does.
_hub: Hub | None = None

#: How often the main thread looks whether the hub is alive, seconds.
_LOOK = 1.0


def main(
    options: Mapping[str, Any] | None = None,
    consumers: Sequence[Any] | None = None,
    producers: Sequence[Any] | None = None,
    framework: bool = True,
) -> int | None:
    """Run consumers until a signal ends them (hub.md 1).

    A single relay or gateway consumer, as it is shipped, is replaced by code that passes frames on
    without decoding them.

    Args:
        options: the configuration; it is copied.
        consumers: classes to run; None finds those of installed distributions.
        producers: classes to run; None finds them, and adds the monitoring.
        framework: set up logging on the root logger; at debug level if the command line has ``-v``
            or ``--verbose``.

    Raises:
        ConfigurationError: no transport is configured, or an address is not usable.
        NoEndpointAvailable: an address cannot be bound.
        zmq.ZMQError: the outbound address of a relay cannot be bound.
        FedmsgError: a consumer that was named could not start, or none of those enabled could; or
            the hub failed later.
    """
    if framework:
        setup_logger(bool({"-v", "--verbose"} & set(sys.argv)))
    # Moksha's default; load_config always has it.
    config = {"high_water_mark": 0, **(options or {})}
    if consumers is not None and len(consumers) == 1 and _is_on(config, consumers[0]):
        from . import discovery, gateway, monitoring, relay

        if relay.is_plain(consumers[0]):
            relay.run(config, consumers[0], list(producers or []))
            return None
        # Producers of other packages want a hub that can send.
        if producers is None and not any(discovery.find(discovery.PRODUCERS)):
            producers = [monitoring.MonitoringProducer]
        if gateway.is_plain(consumers[0]) and producers in ([], [monitoring.MonitoringProducer]):
            gateway.run(config, producers)
            return None
    _run(config, consumers, producers)
    return None


def setup_logger(verbose: bool) -> None:
    """Log to standard error, in the format of Moksha.

    Args:
        verbose: debug messages, too.
    """
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="[%(name)12s] %(levelname)s %(asctime)s %(message)s",
    )


def _is_on(config: Mapping[str, Any], consumer: Any) -> bool:
    return bool(config.get(getattr(consumer, "config_key", "")))


def _daemon_of(consumers: Sequence[Any] | None) -> str:
    """Return the name of a daemon that only runs a consumer of ours."""
    from . import gateway

    single = consumers is not None and len(consumers) == 1
    return "gateway" if single and consumers and gateway.is_plain(consumers[0]) else "hub"


def _run(
    config: dict[str, Any], consumers: Sequence[Any] | None, producers: Sequence[Any] | None
) -> None:
    global _hub
    from . import metrics, moksha, series, signals
    from .central import Hub

    stop = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()
    with (
        metrics.serving(config, _daemon_of(consumers)) as view,
        signals.stopping(stop.set) if in_main_thread else contextlib.nullcontext(),
    ):
        _hub = hub = Hub(config, consumers, producers)
        try:
            hub.start()
            view.begin(series.of_hub(hub), lambda: series.stalled(hub))
            signals.notify("READY=1")
            if in_main_thread and moksha.uses_reactor():
                moksha.run_reactor(hub, stop)
            while hub.running and not stop.wait(_LOOK):
                pass
        finally:
            view.end()
            signals.notify("STOPPING=1")
            hub.close()
            _hub = None
    if hub.error is not None:
        raise FedmsgError(f"the hub failed: {hub.error}") from hub.error
