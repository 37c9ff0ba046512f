"""The set-up of a process that nobody has configured: one relay on this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from fedmsg import options
from fedmsg._files import copy_config
from fedmsg._option import addresses

_log = logging.getLogger("fedmsg.config")
_told = False


def loopback(partial: Mapping[str, Any], tell: bool = True) -> dict[str, Any]:
    """Return a configuration with the built-in set-up.

    It has the addresses that ``conf`` has by default: publishers connect to that relay, and
    publishing fails if it does not answer.

    Args:
        partial: what was loaded; its ``relay_inbound`` is kept if it has one.
        tell: call :func:`tell_loopback`.
    """
    config = copy_config(partial)
    config["endpoints"] = addresses(options.TABLE["endpoints"].default)
    config.setdefault("relay_inbound", options.TABLE["relay_inbound"].default)
    config.update(active=True, relay_required=True)
    if tell:
        tell_loopback(config)
    return config


def tell_loopback(config: Mapping[str, Any]) -> None:
    """Log, once in a process, which addresses are in use."""
    global _told
    if not _told:
        _told = True
        listening = [address for entry in config["endpoints"].values() for address in entry]
        _log.info(
            "Nothing is configured: publishing through the relay at %s, listening to %s.%s",
            config["relay_inbound"],
            ", ".join(listening),
            environment_note(),
        )


def environment_note() -> str:
    """Return a sentence for somebody who has set ``FEDMSG_CONFIG`` and wonders, or nothing."""
    if not os.environ.get("FEDMSG_CONFIG"):
        return ""
    return " The variable FEDMSG_CONFIG is for fedmsg.config.conf only."
