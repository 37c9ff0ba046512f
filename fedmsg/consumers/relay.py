"""The relay as a consumer class, for plug-in use; ``fedmsg-relay`` forwards bytes instead."""

from __future__ import annotations

import logging
from typing import Any

from . import FedmsgConsumer

log = logging.getLogger("fedmsg.consumers.relay")


class RelayConsumer(FedmsgConsumer):
    """Sends every message on, unchanged and unchecked: subscribers validate for themselves."""

    config_key = "fedmsg.consumers.relay.enabled"
    topic = "*"

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        self.validate_signatures = False

    def consume(self, msg: dict[str, Any]) -> None:
        """Send one message through the hub."""
        log.debug("Got message %r", msg)
        self.hub.send_message(topic=msg["topic"], message=msg["body"])
