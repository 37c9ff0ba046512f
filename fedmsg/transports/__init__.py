"""How messages leave and arrive.  :func:`choose` is the one place that decides which way.

This module alone reads configuration keys; the transports take plain values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import options, utils
from ..exceptions import ConfigurationError, MissingRelay
from .base import Transport

if TYPE_CHECKING:
    import zmq

    from .stomp_rules import Settings, Tls
    from .stomp_subscriber import StompSubscriber
    from .zeromq import SocketOptions

__all__ = [
    "Transport",
    "as_list",
    "broker_publisher",
    "broker_subscriber",
    "choose",
    "socket_options",
    "stomp_settings",
    "stomp_tail",
    "subscriber_options",
]

Config = Mapping[str, Any]


def choose(config: Config, context: zmq.Context[Any]) -> Transport | None:
    """Return the transport that the configuration asks for, not opened yet.

    In this order: ``mute``: None; ``zmq_enabled`` false: a running Moksha hub, else a STOMP broker
    if one is configured, else nothing but an error at publish; ``active``: connect to the relay;
    else bind an endpoint of ``name``, or warn and return None if it has none.

    Args:
        config: the context's configuration; it is not changed.
        context: where zmq sockets are made.

    Raises:
        MissingRelay: ``active``, and there is no address to connect to.
        KeyError: ``active``, ``post_init_sleep`` or ``high_water_mark`` is missing.
        ConfigurationError: an address of a relay or broker is malformed, or the settings of STOMP
            contradict one another.
    """
    if config.get("mute"):
        return None
    if not config.get("zmq_enabled", True):
        return _brokered(config)
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


def _brokered(config: Config) -> Transport:
    from . import moksha

    found = None if moksha.running_hub() else broker_publisher(config)
    return moksha.MokshaTransport() if found is None else found


def stomp_settings(config: Config) -> Settings | None:
    """Return how to connect to the STOMP brokers of a configuration; None if it has none.

    Raises:
        ConfigurationError: a value is wrong, or plain text would be used in spite of
            certificates.
    """
    uri, host = config.get("stomp_uri"), config.get("stomp_broker")
    if not uri and not host:
        return None
    from . import stomp_rules

    get = partial(options.get, config)
    try:
        return stomp_rules.Settings(
            brokers=stomp_rules.parse_brokers(uri or f"{host}:{get('stomp_port')}"),
            user=_header(config, "stomp_user"),
            password=stomp_rules.Secret(_header(config, "stomp_pass")),
            vhost=_header(config, "stomp_vhost"),
            tls=_tls(config),
            heartbeat=get("stomp_heartbeat"),
            delay=get("stomp_delay"),
            timeout=max(0.1, get("stomp_timeout")),
            destination=stomp_rules.check_template(get("stomp_destination")),
            window=max(1, get("stomp_window")),
        )
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def broker_publisher(config: Config) -> Transport | None:
    """Return the transport to the STOMP brokers of a configuration; None if it has none.

    Raises:
        ConfigurationError: a value is wrong.
        KeyError: ``post_init_sleep`` is missing.
    """
    settings = stomp_settings(config)
    if settings is None:
        return None
    from .stomp_publisher import StompPublisher

    return StompPublisher(
        settings,
        settle=config["post_init_sleep"],
        timeout=options.get(config, "stomp_window_timeout"),
    )


def stomp_tail(config: Config, prefix: str) -> StompSubscriber | None:
    """Return what receives topics with a prefix from STOMP brokers; None if there are none.

    Raises:
        ConfigurationError: a value is wrong.
        MissingDependency: stomp.py is not installed.
    """
    return broker_subscriber(config, [prefix], lambda topic: topic.startswith(prefix))


def broker_subscriber(
    config: Config, patterns: list[str], matches: Callable[[str], bool] = lambda topic: True
) -> StompSubscriber | None:
    """Return what receives from the STOMP brokers of a configuration; None if it has none.

    Args:
        config: the configuration.
        patterns: prefixes of topics, or patterns; the broker sends more than that.
        matches: says of a topic whether it is wanted.

    Raises:
        ConfigurationError: a value is wrong.
        MissingDependency: stomp.py is not installed.
    """
    settings = stomp_settings(config)
    if settings is None:
        return None
    from .stomp_subscriber import StompSubscriber

    return StompSubscriber(
        settings,
        patterns,
        matches=matches,
        queue=options.get(config, "stomp_queue") or "",
        ack_mode=options.get(config, "stomp_ack_mode"),
        headers=options.get(config, "stomp_subscribe_headers"),
    )


def _header(config: Config, name: str) -> str:
    """Return an option that becomes a header of CONNECT, where nothing can be escaped."""
    value = options.get(config, name)
    if not isinstance(value, str) or any(char in value for char in "\r\n\0"):
        raise ConfigurationError(
            f"Invalid configuration value for {name!r}: it must be text without line breaks"
        )
    return value


def _tls(config: Config) -> Tls | None:
    from .stomp_rules import Tls

    certificate, key = config.get("stomp_ssl_crt") or "", config.get("stomp_ssl_key") or ""
    ca, wanted = options.get(config, "stomp_ssl_ca") or "", options.get(config, "stomp_ssl")
    if bool(certificate) != bool(key):
        missing = "stomp_ssl_key" if certificate else "stomp_ssl_crt"
        raise ConfigurationError(
            f"Invalid configuration value for {missing!r}: 'stomp_ssl_crt' and 'stomp_ssl_key' go"
            " together, and without either the client has no certificate"
        )
    if wanted is False and (certificate or ca):
        raise ConfigurationError(
            "Invalid configuration value for 'stomp_ssl': False would send in plain text in spite"
            " of 'stomp_ssl_crt', 'stomp_ssl_key' or 'stomp_ssl_ca'; remove those"
        )
    if not (wanted or certificate or ca):
        return None
    return Tls(ca, certificate, key, options.get(config, "stomp_ssl_verify"))


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
