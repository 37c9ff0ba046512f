"""Consumers with a ``replay_name``: what they missed is fetched, checked, and in its place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hubs import Recorder
from parts import stored

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")


class Following(Recorder):
    """Fetches what it misses of one publisher."""

    replay_name = "me"
    topic = "*"


class Raw(Following):
    """Wants objects."""

    jsonify = False


@pytest.fixture
def served(replay_server: Callable[..., Any], sql_store: Callable[..., Any]) -> Any:
    """Ten messages, and the configuration with which they can be asked for."""
    store = sql_store()
    messages = stored(store, 10)
    return messages, replay_server(store).config


def numbers(consumer: Any) -> list[int]:
    """Return the numbers of what a consumer got."""
    bodies = [
        json.loads(each.body) if hasattr(each, "body") else each["body"] for each in consumer.got
    ]
    return [body["seq_id"] for body in bodies]


def deliver(consumer: Any, message: dict[str, Any]) -> None:
    """Have a message arrive."""
    consumer.hub.deliver(message["topic"], json.dumps(message))


@pytest.mark.parametrize("cls", [Following, Raw])
def test_missed_messages_are_fetched(
    run: Callable[..., Any], served: Any, eventually: Callable[..., Any], cls: type
) -> None:
    """A gap is filled before the message behind it; what comes twice is delivered once."""
    messages, config = served
    consumer = run(cls, **{**config, "topic": ""})
    for number in (1, 2, 9, 9, 10):
        deliver(consumer, messages[number - 1])
    eventually(lambda: len(consumer.got) == 10)
    assert numbers(consumer) == list(range(1, 11))
    assert consumer.name_to_seq_id == {"me": 10}


def test_recovered_messages_are_validated(
    run: Callable[..., Any], served: Any, eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """One that is not signed as it should be is left out; the others come."""
    messages, config = served
    check = mock.Mock(side_effect=lambda body, **_: body["seq_id"] != 5)
    monkeypatch.setattr("fedmsg.crypto.validate", check)
    consumer = run(Following, **{**config, "validate_signatures": True})
    consumer.validate_signatures = True
    for number in (3, 8):
        deliver(consumer, messages[number - 1])
    eventually(lambda: len(consumer.got) == 5)
    assert numbers(consumer) == [3, 4, 6, 7, 8]


def test_service_that_is_away(
    run: Callable[..., Any], served: Any, eventually: Callable[..., Any], address: Any
) -> None:
    """The message is delivered all the same."""
    messages, config = served
    config = {**config, "replay_endpoints": {"me": address()}, "replay_timeout": 0.2}
    consumer = run(Following, **config)
    for number in (1, 5):
        deliver(consumer, messages[number - 1])
    eventually(lambda: numbers(consumer) == [1, 5])


def test_name_that_is_not_watched(run: Callable[..., Any]) -> None:
    """Nothing is asked for, and batches are taken."""
    consumer = run(Following)
    assert (consumer.name_to_seq_id, consumer.takes_batches) == ({}, True)


def test_batches_are_not_taken(run: Callable[..., Any], served: Any) -> None:
    """Every message has to be seen in its order."""
    assert run(Following, **served[1]).takes_batches is False
