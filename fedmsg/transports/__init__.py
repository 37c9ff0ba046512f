"""How messages leave and arrive.  :func:`choose` is the one place that decides which way.

This module alone reads configuration keys; the transports take plain values.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import options, utils
from ..exceptions import MissingRelay
from .base import Transport

if TYPE_CHECKING:
    import zmq

    from .zeromq import SocketOptions

__all__ = ["Transport", "as_list", "choose", "socket_options", "subscriber_options"]

Config = Mapping[str, Any]


def choose(config: Config, context: zmq.Context[Any]) -> Transport | None:
    """Return the transport that the configuration asks for, not opened yet.

    In this order: ``mute``: None; ``zmq_enabled`` false: a running Moksha hub; ``active``: connect
    to the relay; else bind an endpoint of ``name``, or warn and return None if it has none.

    Args:
        config: the context's configuration; it is not changed.
        context: where zmq sockets are made.

    Raises:
        MissingRelay: ``active``, and there is no address to connect to.
        KeyError: ``active``, ``post_init_sleep`` or ``high_water_mark`` is missing.
        ConfigurationError: a relay address is malformed.
    """
    if config.get("mute"):
        return None
    if not config.get("zmq_enabled", True):
        from .moksha import MokshaTransport

        return MokshaTransport()
    if config["active"]:
        return _relay_publisher(config, context)
    name = config.get("name")
    endpoints = as_list((config.get("endpoints") or {}).get(name)) if name else []
    if not endpoints:
        warnings.warn(
            f"fedmsg is not configured to send any zmq messages for name {name!r}", stacklevel=4
        )
        return None
    from .zeromq import BindPublisher

    return BindPublisher(
        context,
        str(name),
        endpoints,
        socket_options(config),
        settle=config["post_init_sleep"],
        wait_for=options.get(config, "wait_for_subscriptions"),
    )


def _relay_publisher(config: Config, context: zmq.Context[Any]) -> Transport:
    name = config.get("name", "relay_inbound")
    targets = as_list(config.get(name)) if name else []
    if not targets and options.get(config, "relay_required"):
        targets = as_list(config.get("relay_inbound"))
    if not targets or "endpoints" not in config:
        raise MissingRelay(
            "Could not find endpoint for fedmsg-relay. Try installing fedmsg-relay. ('active' is"
            f" set, so the configuration needs 'endpoints' and a key {name!r} with the address of"
            " a relay, such as 'tcp://127.0.0.1:2001')"
        )
    from .relay import RelayPublisher

    return RelayPublisher(
        context,
        str(name),
        targets,
        socket_options(config),
        settle=config["post_init_sleep"],
        timeout=config.get("timeout") or 0,
        required=options.get(config, "relay_required"),
        outage_limit=options.get(config, "relay_outage_limit"),
    )


def as_list(value: str | Iterable[str] | None) -> list[str]:
    """Return the addresses of an ``endpoints`` value: one str is a list of one, None is empty."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def socket_options(config: Config) -> SocketOptions:
    """Return the options of a publishing socket.

    Raises:
        KeyError: ``high_water_mark`` is missing.
    """
    from .zeromq import SocketOptions

    return SocketOptions(
        high_water_mark=config["high_water_mark"],
        linger=config.get("zmq_linger", 1000),
        others=utils.given_options(config, utils.TCP_KEEPALIVE),
    )


def subscriber_options(config: Config) -> tuple[tuple[int, int], ...]:
    """Return the ``setsockopt`` pairs of a subscribing socket.

    Raises:
        KeyError: ``high_water_mark`` is missing.
    """
    import zmq

    limit = config["high_water_mark"]
    marks = ((int(zmq.SNDHWM), limit), (int(zmq.RCVHWM), limit))
    return marks + utils.given_options(config, {**utils.TCP_KEEPALIVE, **utils.TCP_RECONNECT})
