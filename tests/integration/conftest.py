"""A hub as a process, a publisher for it, and a module of consumers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import Chain
from parts import Publisher, settings, stored

#: A module of consumers, in the current directory.
MODULE = """
import os, signal, sys, threading, time
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

class Forking(Printing):
    config_key = "printing"

    def consume(self, message):
        near, far = os.pipe()
        child = os.fork()
        if not child:
            os.write(far, b"x")
            for _ in range(3000):  # a signal just before a sleep is noticed after it
                time.sleep(0.01)  # noqa: sleep
            os._exit(0)
        os.read(near, 1)  # before that Python forgets signals
        os.kill(child, signal.SIGTERM)
        print("the child ended by", os.waitpid(child, 0)[1], flush=True)

class Greedy(Printing):
    config_key = "printing"

    def consume(self, message):
        try:
            while True:
                os.open(os.devnull, os.O_RDONLY)
        except OSError:
            super().consume(message)

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


@pytest.fixture
def chain(
    command: Any, config_file: Any, address: Any, eventually: Any, tmp_path: Path,
    sql_store: Callable[..., Any],
) -> Callable[..., Chain]:  # fmt: skip
    """A function that makes the configuration of a chain, of which nothing runs."""
    store = sql_store()
    parts = command, config_file, address, eventually, tmp_path, store
    return lambda **changes: Chain(*parts, **changes)


@pytest.fixture
def begun(chain: Callable[..., Chain], feeder: Callable[[str], Any]) -> Callable[..., Any]:
    """A function that starts a chain with a tail or a hub which has heard a message.

    It returns the chain, what sends to the relay, and the number of that message.
    """

    def start(name: str, **changes: Any) -> tuple[Chain, Any, int]:
        made = chain(**changes)
        made.start("replay-server")
        made.start("relay")
        return made, feeder(made.inbound), made.begin(name)

    return start


@pytest.fixture
def daemons_config(
    address: Callable[[], str], port: Callable[[], int], hub_config: dict[str, Any],
    sql_store: Any, tmp_path: Path,
) -> dict[str, Any]:  # fmt: skip
    """A configuration for all daemons, with a store of five messages."""
    stored(sql_store(), 5)
    return {
        **hub_config,
        **settings(
            endpoints={"relay_outbound": [address()]},
            relay_inbound=address(),
            persistent_store=f"sqlite:///{tmp_path}/store.db",
            replay_endpoints={"relay_outbound": address()},
        ),
        "fedmsg.consumers.gateway.port": port(),
        "fedmsg.consumers.gateway.high_water_mark": 100,
        "expected_topics": {"org.nothing": 3600},
    }
