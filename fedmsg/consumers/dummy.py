"""A consumer that logs what comes: to see whether a hub works."""

from __future__ import annotations

import logging
from typing import Any

from . import FedmsgConsumer

log = logging.getLogger("fedmsg.consumers.dummy")


class DummyConsumer(FedmsgConsumer):
    """Logs every message at debug level."""

    config_key = "fedmsg.consumers.dummy.enabled"

    def __init__(self, hub: Any) -> None:
        self.topic = hub.config.get("topic_prefix", "org.fedoraproject") + "*"
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Log one message."""
        log.debug("%r", message)
