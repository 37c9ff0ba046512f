"""``fedmsg-gateway``: the whole bus on one port.  Specification: commands.md, section 5."""

from __future__ import annotations

from fedmsg.commands import BaseCommand, run_command, subscribe_to_all
from fedmsg.consumers.gateway import GatewayConsumer
from fedmsg.exceptions import MissingKey
from fedmsg.hub import main

__all__ = ["GatewayCommand", "gateway", "main"]


class GatewayCommand(BaseCommand):
    """
    Publish the messages of the whole bus on one port, for clients outside.

    It listens to every address in 'endpoints' and publishes what it receives, unchanged, on
    'fedmsg.consumers.gateway.port'.  A client that is too slow loses messages when its queue of
    'fedmsg.consumers.gateway.high_water_mark' is full; that is counted and logged.

    Examples:

        fedmsg-gateway
        fedmsg-gateway --config-filename=/etc/fedmsg.d/gateway.py
    """

    name = "fedmsg-gateway"
    daemonizable = True

    def run(self) -> int | None:
        """Pass on until a signal comes.

        Raises:
            MissingKey: the configuration lacks the port or the high water mark.
            NoEndpointAvailable: the port cannot be bound.
        """
        config = self.config
        subscribe_to_all(config)
        config[GatewayConsumer.config_key] = True
        for key in ("fedmsg.consumers.gateway.port", "fedmsg.consumers.gateway.high_water_mark"):
            if key not in config:
                raise MissingKey(
                    f"{key}: fedmsg-gateway needs this key in the configuration"
                    " (fedmsg.d/gateway.py)"
                )
        return main(options=config, consumers=[GatewayConsumer], framework=False)


def gateway() -> int | None:
    """Entry point of ``fedmsg-gateway``."""
    return run_command(GatewayCommand)
