"""``fedmsg-hub``: run consumers and producers.  Specification: commands.md, section 5."""

from __future__ import annotations

from typing import Any

import zmq

from fedmsg.commands import BaseCommand, run_command, subscribe_to_all
from fedmsg.exceptions import ConfigurationError, NoEndpointAvailable
from fedmsg.hub import discovery, main

resource: Any
try:
    import resource
except ImportError:  # not on this system
    resource = None

__all__ = ["HubCommand", "hub", "main"]

#: Descriptors that a hub wants at least.
MAX_NOFILE = 4096


class HubCommand(BaseCommand):
    """
    Run the consumers and producers of this machine.

    Consumers and producers are plug-ins: classes that installed packages offer as entry points
    (groups moksha.consumer and moksha.producer).  Each consumer has a key in the configuration
    that switches it on.

    SIGTERM or Ctrl-C: no more messages are taken in, what is queued is consumed, for at most
    'stop_timeout' seconds, and the hub ends with status 0; a second signal ends it at once.
    Status 1 if a class named by --with-consumers, or every enabled consumer, could not start.

    Examples:

        fedmsg-hub
        fedmsg-hub --with-consumers=mypackage.consumers:MyConsumer
    """

    name = "fedmsg-hub"
    daemonizable = True
    extra_args = [
        (
            ["--with-consumers"],
            {
                "dest": "explicit_hub_consumers",
                "type": str,
                "default": None,
                "metavar": "MODULE:CLASS,...",
                "help": "run these consumers only",
            },
        ),
        (
            ["--no-backlog"],
            {
                "dest": "backlog",
                "action": "store_false",
                "default": True,
                "help": "do not fetch what was missed while the hub was down",
            },
        ),
        (
            ["--websocket-server-port"],
            {
                "dest": "moksha.livesocket.websocket.port",
                "type": int,
                "default": None,
                "metavar": "PORT",
                "help": "serve messages to browsers on this port",
            },
        ),
    ]

    def run(self) -> int | None:
        """Run until a signal comes.

        Raises:
            ConfigurationError: a class of ``--with-consumers`` does not exist.
            NoEndpointAvailable: an address of ``zmq_publish_endpoints`` cannot be bound.
            FedmsgError: see :func:`fedmsg.hub.main`.
        """
        config = self.config
        if config.get("zmq_enabled", True):
            subscribe_to_all(config)
        if config.get("moksha.livesocket.websocket.port"):
            config["moksha.livesocket.backend"] = "websocket"
        explicit = config.get("explicit_hub_consumers")
        self.set_rlimit_nofiles()
        try:
            consumers = discovery.named(explicit) if explicit else None
        except (ImportError, ValueError) as error:
            raise ConfigurationError(f"--with-consumers={explicit}: {error}") from error
        try:
            return main(options=config, consumers=consumers, framework=False)
        except zmq.ZMQError as error:
            outbound = config.get("zmq_publish_endpoints")
            raise NoEndpointAvailable(
                f"cannot publish on {outbound} (zmq_publish_endpoints): {error}"
            ) from error

    def set_rlimit_nofiles(self, limit: int | None = None) -> None:
        """Raise the limit of open descriptors.

        Args:
            limit: set exactly this, soft and hard; None: raise the soft limit to
                :data:`MAX_NOFILE`, or as far as the hard limit allows, and never lower it.
        """
        if resource is None:
            return
        try:
            if limit is not None:
                wanted = (limit, limit)
            else:
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                wanted = (_raised(soft, hard), hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
        except (ValueError, resource.error) as error:
            self.log.warning("the limit of open descriptors cannot be changed: %s", error)
        self.log.info("limit of open descriptors: %r", resource.getrlimit(resource.RLIMIT_NOFILE))


def _raised(soft: int, hard: int) -> int:
    infinity: Any = resource.RLIM_INFINITY
    if soft == infinity or soft >= MAX_NOFILE:
        return soft
    return MAX_NOFILE if hard == infinity else min(MAX_NOFILE, hard)


def hub() -> int | None:
    """Entry point of ``fedmsg-hub``."""
    return run_command(HubCommand)
