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


def test_nothing_is_lost(
    kept: tuple[Node, str, dict[str, Any]], make_context: Callable[..., Any],
    stomp_subscriber: Callable[..., Any], eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """SIGKILL, three times and more: all arrive, in the order of their thread but for repeats."""
    node, queue, names = kept
    modname = names.pop("modname")
    config = configuration(node.port, stomp_window_timeout=120, stomp_delay=0.1, **names)
    published: list[list[str]] = [[] for _ in range(THREADS)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            context = make_context(**config)
            for count in range(MESSAGES // THREADS):
                context.publish(
                    topic="trial", msg={"thread": number, "count": count}, modname=modname,
                    pre_fire_hook=lambda message: published[number].append(message["msg_id"]),
                )  # fmt: skip
            assert context.flush(120) == 0
            assert context.undelivered == 0
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for kill in range(1, KILLS + 1):
        due = MESSAGES * kill // (KILLS + 1)
        eventually(lambda due=due: sum(map(len, published)) >= due or errors, timeout=120)
        node.kill()
        node.start()
    for thread in threads:
        thread.join(180)
        assert not thread.is_alive()
    assert errors == []

    last: list[str] = []
    context = make_context(**config)
    context.publish(
        topic="trial", msg={"thread": None}, modname=modname,
        pre_fire_hook=lambda message: last.append(message["msg_id"]),
    )  # fmt: skip
    assert context.flush(60) == 0
    settings = stomp_settings(node.port)
    subscriber = stomp_subscriber(settings, [], queue=queue, ack_mode="client-individual")
    arrived = arrived_until(subscriber, last[0])
    for ids in published:
        assert len(ids) == MESSAGES // THREADS
        assert set(ids) <= {message["msg_id"] for message in arrived}
    for number in range(THREADS):
        counts = [each["msg"]["count"] for each in arrived if each["msg"]["thread"] == number]
        last_seen = sorted({count: place for place, count in enumerate(counts)}.items())
        assert [place for _, place in last_seen] == sorted(place for _, place in last_seen)
