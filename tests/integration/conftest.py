"""A hub as a process, a publisher for it, and a module of consumers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from parts import Publisher

#: A module of consumers, in the current directory.
MODULE = """
import os, sys, threading, time
import fedmsg
from fedmsg.consumers import FedmsgConsumer
from fedmsg.consumers.relay import RelayConsumer

class Printing(FedmsgConsumer):
    config_key = "printing"
    topic = "org.test"
    validate_signatures = False

    def consume(self, message):
        print("got", message["body"]["msg"], flush=True)

class Slow(Printing):
    config_key = "slow"

    def consume(self, message):
        if message["body"]["msg"] == "block":
            print("blocked", flush=True)
            while True:
                time.sleep(1)  # noqa: sleep
        time.sleep(0.002)  # noqa: sleep
        super().consume(message)

class Closing(Printing):
    config_key = "closing"

    def consume(self, message):
        super().consume(message)
        self.hub.close()

class Failing(Printing):
    config_key = "failing"

    def __init__(self, hub):
        raise OSError("no database")

class Heading(RelayConsumer):
    def consume(self, msg):
        super().consume({**msg, "body": {"heading": msg["body"]}})
"""
QUIET = {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO",
         "handlers": ["e"]}, "handlers": {"e": {"class": "logging.StreamHandler"}}}  # fmt: skip


@pytest.fixture
def hub_config(publisher: Callable[..., Publisher]) -> dict[str, Any]:
    """The configuration of a hub with a publisher, and consumers that are on."""
    Path("bus_consumers.py").write_text(MODULE)
    return {
        "endpoints": {"test": [publisher().endpoint]}, "logging": QUIET, "printing": True,
        "slow": True, "closing": True, "failing": True, "validate_signatures": False,
    }  # fmt: skip


@pytest.fixture
def source(publisher: Callable[..., Publisher], hub_config: dict[str, Any]) -> Publisher:
    """The publisher that a hub connects to."""
    source = publisher()
    hub_config["endpoints"] = {"test": [source.endpoint]}
    return source
