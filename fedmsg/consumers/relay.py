"""The relays as consumer classes, for plug-in use; the commands pass frames on instead."""

from __future__ import annotations

import logging
from typing import Any

from .. import crypto
from . import FedmsgConsumer

log = logging.getLogger("fedmsg.consumers.relay")


class RelayConsumer(FedmsgConsumer):
    """Sends every message on, unchanged and unchecked: subscribers validate for themselves."""

    config_key = "fedmsg.consumers.relay.enabled"
    topic = "*"
    validate_signatures = False

    def consume(self, msg: dict[str, Any]) -> None:
        """Send one message through the hub."""
        log.debug("Got message %r", msg)
        self.hub.send_message(topic=msg["topic"], message=msg["body"])


class SigningRelayConsumer(RelayConsumer):
    """Signs every message with ``certnames['signing_relay']`` and sends it on.

    An old signature is replaced.  What cannot be signed is not sent: the hub logs the error.
    """

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        certname = (hub.config.get("certnames") or {}).get("signing_relay")
        if certname is None:
            log.error(
                "The signing relay requires that the certificate name is in the "
                '"certnames" dictionary using the "signing_relay" key'
            )
        else:
            hub.config["certname"] = certname

    def consume(self, msg: dict[str, Any]) -> None:
        """Sign one message and send it through the hub.

        Raises:
            ValueError, OSError: it cannot be signed; it is not sent.
        """
        super().consume({**msg, "body": crypto.sign(msg["body"], **self.hub.config)})
