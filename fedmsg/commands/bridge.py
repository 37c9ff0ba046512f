"""``fedmsg-bridge``: between this bus and another one."""

from __future__ import annotations

import os
from typing import Any

from fedmsg import options
from fedmsg.bridge import service
from fedmsg.commands import BaseCommand, run_command

__all__ = ["BridgeCommand", "bridge"]

#: A bridge that no configuration names is this publisher.
NAME = "bridge"


class BridgeCommand(BaseCommand):
    """
    Carry messages between this bus and a broker: STOMP, or AMQP as fedora-messaging uses it.

    The broker is that of 'stomp_uri' or of 'bridge_amqp_url'.  Outward: every message of
    'endpoints' is sent to the broker, and confirmed by it; with 'replay_endpoints' the bridge
    keeps its position in 'bridge_position_file', and nothing is lost while it is down.  Inward:
    every message of the broker is published at endpoints['bridge'], or through the relay with
    'active', and only then acknowledged.  What has been on this bus ('bridge_bus') does not come
    back.

    SIGTERM or Ctrl-C: what has been taken is confirmed, for at most five seconds, then the bridge
    ends with status 0; a second signal ends it at once.

    Examples:

        fedmsg-bridge
        fedmsg-bridge --direction=out
    """

    name = "fedmsg-bridge"
    daemonizable = True
    extra_args = (
        (["--direction"], {
            "dest": "bridge_direction", "default": None, "choices": service.DIRECTIONS,
            "help": "out: to the broker; in: from it; both (default)"}),
    )  # fmt: skip

    def run(self) -> int | None:
        """Carry messages until a signal comes.

        Raises:
            FedmsgError: see :func:`fedmsg.bridge.service.run`.
        """
        config: dict[str, Any] = {**self.config, "name": self.config.get("name") or NAME}
        self.log.info(
            "bridge of the bus %r, process %d", options.get(config, "bridge_bus"), os.getpid()
        )
        service.run(config)
        return None


def bridge() -> int | None:
    """Entry point of ``fedmsg-bridge``."""
    return run_command(BridgeCommand)
