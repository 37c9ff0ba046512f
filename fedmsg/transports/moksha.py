"""Handing messages to the hub that runs in this process, where zeromq is switched off."""

from __future__ import annotations

import sys
from typing import Any

from ..exceptions import NoPublisher
from .base import Transport


def running_hub() -> Any:
    """Return the hub that runs in this process, Moksha's or ours; None if there is none.

    Nothing is imported to look for it.
    """
    for name in ("moksha.hub", "fedmsg.hub"):
        hub = getattr(sys.modules.get(name), "_hub", None)
        if hub is not None:
            return hub
    return None


class MokshaTransport(Transport):
    """Publishes through the hub that runs in this process."""

    name = "moksha"

    def open(self) -> None:
        """Nothing to open: the hub may start later than the context."""

    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """Hand one message to the hub.

        Raises:
            NoPublisher: no hub runs in this process, or no more.
        """
        hub = running_hub()
        if hub is None:
            raise NoPublisher(
                "Unable to publish non-zeromq msg without moksha-hub initialization."
                " ('zmq_enabled' is false and no Moksha hub runs in this process: set"
                " zmq_enabled=True, or stomp_uri, or publish from within moksha.hub.main)"
            )
        hub.send_message(topic=topic, message=body, jsonify=False)

    def close(self, linger: float = 1.0) -> None:
        """Nothing to close: the hub belongs to somebody else."""
