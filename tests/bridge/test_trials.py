"""Bridges that are killed, and a broker that restarts: nothing is lost, or it is reported.

The full size, of 20,000 messages each way, 20 kills and 2 restarts, is that of ``make soak``;
the short one restarts the broker with AMQP only.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bridge_parts import Process, Town, bodies, joined, message, outside, report_of, seconds
from parts import ReplayServer

LONG = seconds() >= 300
#: Each way.
MESSAGES = 20_000 if LONG else 500
KILLS = 20 if LONG else 3
RESTARTS = 2
#: In a short trial.
RESTARTS_OF = {"amqp": 1, "stomp": 0}
PATIENCE = 900 if LONG else 60

pytestmark = [pytest.mark.broker, pytest.mark.trial, pytest.mark.timeout(PATIENCE + 200)]


class Outside:
    """Somebody at the broker who publishes, each message until it is confirmed."""

    def __init__(self, town: Town) -> None:
        self._town, self._connection, self._channel = town, None, None

    def publish(self, number: int) -> None:
        import pika

        while True:
            try:
                if self._channel is None:
                    self._connection = self._town.connection()
                    self._channel = self._connection.channel()
                    self._channel.confirm_delivery()
                outside(self._town, self._channel, number)
                return
            except (pika.exceptions.AMQPError, OSError):
                self.close()
                threading.Event().wait(0.2)

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
        self._connection = self._channel = None


@pytest.fixture
def kept(town: Town, sql_store: Callable[..., Any]) -> Iterator[dict[str, ReplayServer]]:
    """Replay services of the publisher and of the bridge, each with a store."""
    servers = {
        name: ReplayServer(sql_store(f"sqlite:///{town.folder}/{name}.db"), town.replay[name])
        for name in ("app", "bridge")
    }
    yield servers
    for server in servers.values():
        server.close()


def publish_all(town: Town, context: Any, bridge: Process) -> None:
    """Publish on both sides, and meanwhile kill the bridge and restart the broker."""
    somebody, dice = Outside(town), random.Random()
    kills = sorted(dice.sample(range(MESSAGES), KILLS))
    wanted = RESTARTS if LONG else RESTARTS_OF[town.kind]
    restarts = [MESSAGES * (number + 1) // (wanted + 1) for number in range(wanted)]
    for number in range(MESSAGES):
        context.publish(topic="x", msg={"n": number}, modname="t")
        if number in restarts:
            town.broker.kill()
            town.broker.start()
        somebody.publish(number)
        if number in kills:
            before = bridge.starts
            threading.Event().wait(dice.random())  # at random
            bridge.kill()
            while bridge.starts == before:
                threading.Event().wait(0.01)
    somebody.close()


def test_nothing_is_lost(
    town: Town, kept: dict[str, ReplayServer], make_context: Callable[..., Any],
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """Killed at random while the broker restarts: with a store both ways are complete."""
    queue, came = town.queue(), town.queue("bridge.in")
    verify = town.start(
        "fedmsg-verify", "--json", f"--count={2 * MESSAGES}", f"--for={PATIENCE}",
        f"--window={PATIENCE}", f"--queue={queue}", "--allow-double", replay_endpoints=town.replay,
    )  # fmt: skip
    position = town.folder / "position.json"
    bridge = town.start(
        "fedmsg-bridge", bridge_queue_name=came, bridge_position_file=str(position),
        replay_endpoints={"app": town.replay["app"]},
        persistent_store=f"sqlite:///{town.folder}/bridge.db",
    )  # fmt: skip
    bridge.keep()
    eventually(position.exists)
    # So that the first messages, too, are missed if they are.
    eventually(lambda: kept["bridge"].context.counts["requests"])
    context = make_context(
        **town.config(name="app", persistent_store=f"sqlite:///{town.folder}/app.db")
    )
    publish_all(town, context, bridge)
    status = verify.wait(PATIENCE)
    report = report_of(verify)
    print(f"{town.kind}: bridge started {bridge.starts} times; {report}")
    assert (report["bus"]["missing"], report["broker"]["missing"]) == (0, 0)
    assert report["matched"] == 2 * MESSAGES
    # A repeat from the broker keeps the number that it has in the store.
    assert report["bus"]["double"] == 0
    assert status == 0
    assert bridge.starts == KILLS + 1
    assert bridge.stop() == 0
    assert json.loads(position.read_text()) == {"app": MESSAGES}


def test_without_a_store_loss_is_reported(
    town: Town, app: Any, eventually: Callable[..., Any]
) -> None:
    """What is published while the bridge is down is missing, and verify says so, with status 1."""
    queue = town.queue()
    verify = town.start("fedmsg-verify", "--json", "--for=60", "--window=2", f"--queue={queue}")
    bridge = town.start("fedmsg-bridge", "--direction=out")
    joined(app, 2)
    eventually(lambda: "listening on both sides" in verify.log())
    topic = message(0)["topic"].encode()
    for body in bodies(range(10)):
        app.send_multipart([topic, body])
    bridge.kill()
    bridge.wait(20)
    for body in bodies(range(1000, 1100)):
        app.send_multipart([topic, body])
    bridge = town.start("fedmsg-bridge", "--direction=out")
    joined(app, 1)
    for body in bodies(range(2000, 2010)):
        app.send_multipart([topic, body])
    threading.Event().wait(3)  # the window of verify
    assert verify.stop() == 1
    found = report_of(verify)
    assert 100 <= found["broker"]["missing"] <= 110
    assert found["bus"]["missing"] == 0
