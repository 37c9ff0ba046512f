"""Consumers: classes that a hub calls with every message on a topic.

This version has what :class:`fedmsg.consumers.relay.RelayConsumer` needs to be constructed by a
hub and called by it: configuration switch, subscription, isolation of failures.
"""

from __future__ import annotations

import logging
from typing import Any

from ..exceptions import ConfigurationError

__all__ = ["FedmsgConsumer"]


class FedmsgConsumer:
    """Base class of consumers (consumers.md 2 and 3).

    Args:
        hub: has ``config`` and ``subscribe(topic, callback)``.

    Attributes:
        config_key: the configuration key that switches the consumer on.
        topic: what to subscribe to; ``*`` at its end is a wildcard.

    Raises:
        ConfigurationError: the class has no ``config_key``; a ValueError.
    """

    config_key: str | None = None
    topic: str = ""
    jsonify = True
    validate_signatures: bool | None = None
    _initialized = False

    def __init__(self, hub: Any) -> None:
        module, name = type(self).__module__, type(self).__name__
        if not self.config_key:
            raise ConfigurationError(f"{module}:{name} must declare a 'config_key'")
        self.log = logging.getLogger("fedmsg.consumers")
        if not hub.config.get(self.config_key, False):
            self.log.info("* disabled by config - %s:%s", module, name)
            return
        self.log.info("* enabled by config  - %s:%s", module, name)
        self.hub = hub
        hub.subscribe(self.topic, self._consume)
        self._initialized = True

    def _consume(self, message: Any) -> bool:
        """Called by the hub; a failure is logged, and is this consumer's own."""
        try:
            self.consume(message)
        except Exception:
            self.log.exception("%s failed", type(self).__name__)
            return False
        return True

    def consume(self, msg: dict[str, Any]) -> None:
        """Handle one message, ``{'topic': ..., 'body': ...}``.

        Raises:
            NotImplementedError: a subclass did not override it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement 'consume'")
