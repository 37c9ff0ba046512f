"""The hub: runs consumers on the messages of the bus.

This version runs one of them, the relay; it needs no decoding, so bytes are passed on instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..exceptions import ConfigurationError

__all__ = ["main"]


def main(
    options: Mapping[str, Any] | None = None,
    consumers: Sequence[type] | None = None,
    producers: Sequence[type] | None = None,
    framework: bool = True,
) -> int | None:
    """Run consumers until a signal ends them (hub.md 1).

    Args:
        options: the configuration; it is copied.
        consumers: classes to run.
        producers: classes to run; ``MonitoringProducer`` is the one known here.
        framework: set up logging on the root logger.

    Raises:
        ConfigurationError: the consumers are not just one unmodified ``RelayConsumer``.
        NoEndpointAvailable: an inbound address cannot be bound.
        zmq.ZMQError: the outbound address cannot be bound.
    """
    from . import relay

    if framework:
        import logging

        logging.basicConfig(
            level=logging.INFO, format="[%(name)12s] %(levelname)s %(asctime)s %(message)s"
        )
    if consumers is None or len(consumers) != 1 or not relay.is_plain(consumers[0]):
        names = [getattr(consumer, "__name__", repr(consumer)) for consumer in consumers or []]
        raise ConfigurationError(
            f"cannot run the consumers {names}: this version of fedmsg has no hub yet, only the"
            " relay, with fedmsg.consumers.relay.RelayConsumer as it is (a subclass that"
            " overrides 'consume' needs the hub)"
        )
    relay.run(dict(options or {}), consumers[0], list(producers or []))
    return None
