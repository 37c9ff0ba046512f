"""Brokers that are killed while four threads publish: every message arrives at least once."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from brokers import KEPT, Node
from stomp_parts import configuration, stomp_settings

SECONDS = int(os.environ.get("FEDMSG_TRIAL_SECONDS", "10"))
THREADS = 4
#: Of all threads together.
MESSAGES = 10_000 * max(1, SECONDS // 60)
KILLS = max(3, SECONDS // 30)

pytestmark = [
    pytest.mark.broker,
    pytest.mark.trial,
    pytest.mark.timeout(240 + SECONDS),
]


@pytest.fixture(params=["rabbitmq", "activemq"])
def kept(request: pytest.FixtureRequest) -> tuple[Node, str, dict[str, Any]]:
    """A broker, a durable queue on it, and the settings with which messages get there."""
    node: Node = request.getfixturevalue(request.param)
    if request.param == "rabbitmq":  # bound to the topics by the broker's definitions
        return node, KEPT, {"modname": "kept"}
    return node, "/queue/kept.trial", {"modname": "/queue/kept", "topic_prefix": "/queue/kept"}


def arrived_until(subscriber: Any, last: str) -> list[dict[str, Any]]:
    """Return the messages of a queue up to the one with an id; they are acknowledged."""
    found: list[dict[str, Any]] = []
    for delivery in subscriber.deliveries():
        delivery.ack()
        found.append(json.loads(delivery.body))
        if found[-1]["msg_id"] == last:
            break
    return found


class Publishing:
    """Threads that publish at a broker, each with a context of its own.

    Attributes:
        ids: the ``msg_id`` of every message, by thread, in order.
    """

    def __init__(self, make_context: Callable[..., Any], config: dict[str, Any]) -> None:
        self._make, self._config = make_context, dict(config)
        self._modname = self._config.pop("modname")
        self.ids: list[list[str]] = [[] for _ in range(THREADS)]
        self.errors: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._work, args=(number,)) for number in range(THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, number: int) -> None:
        try:
            context = self._make(**self._config)
            for count in range(MESSAGES // THREADS):
                self.ids[number].append(self._publish(context, thread=number, count=count))
            assert context.flush(120) == 0
            assert context.undelivered == 0
        except BaseException as error:
            self.errors.append(error)

    def _publish(self, context: Any, **msg: Any) -> str:
        ids: list[str] = []
        context.publish(
            topic="trial", msg=msg, modname=self._modname,
            pre_fire_hook=lambda message: ids.append(message["msg_id"]),
        )  # fmt: skip
        return ids[0]

    def has_reached(self, count: int) -> bool:
        """True if so many messages are published, or there is an error."""
        return sum(map(len, self.ids)) >= count or bool(self.errors)

    def finish(self) -> str:
        """Wait for the threads; publish and confirm one more message and return its id."""
        for thread in self._threads:
            thread.join(180)
            assert not thread.is_alive()
        assert self.errors == []
        context = self._make(**self._config)
        last = self._publish(context, thread=None)
        assert context.flush(60) == 0
        return last


def test_nothing_is_lost(
    kept: tuple[Node, str, dict[str, Any]], make_context: Callable[..., Any],
    stomp_subscriber: Callable[..., Any], eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """SIGKILL, three times and more: all arrive, in the order of their thread but for repeats."""
    node, queue, changes = kept
    config = configuration(node.port, stomp_window_timeout=120, stomp_delay=0.1, **changes)
    publishing = Publishing(make_context, config)
    for kill in range(1, KILLS + 1):
        due = MESSAGES * kill // (KILLS + 1)
        eventually(lambda due=due: publishing.has_reached(due), timeout=120)
        node.kill()
        node.start()
    last = publishing.finish()
    settings = stomp_settings(node.port)
    subscriber = stomp_subscriber(settings, [], queue=queue, ack_mode="client-individual")
    arrived = arrived_until(subscriber, last)
    for number, ids in enumerate(publishing.ids):
        assert len(ids) == MESSAGES // THREADS
        assert set(ids) <= {message["msg_id"] for message in arrived}
        counts = [each["msg"]["count"] for each in arrived if each["msg"]["thread"] == number]
        last_seen = sorted({count: place for place, count in enumerate(counts)}.items())
        assert [place for _, place in last_seen] == sorted(place for _, place in last_seen)
