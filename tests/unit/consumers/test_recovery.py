"""Consumers with a ``replay_name``: what they fetch, when, and where they go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from following import Following, deliver, end, got, watching
from hubs import FakeHub, Gate
from parts import stored

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")


@pytest.mark.parametrize("blocking", [False, True])
def test_next_start(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, blocking: bool
) -> None:
    """It asks for what came since, before anything that arrives passes; once."""
    config = {**config, "moksha.blocking_mode": blocking}
    messages = stored(store, 5)
    first = run(Following, **config)
    eventually(lambda: watching(first))
    deliver(first, *messages[2:])
    eventually(lambda: got(first) == [3, 4, 5])
    end(first)
    messages += stored(store, 2500, first=6)
    second = run(Following, **config)
    deliver(second, messages[-1])
    eventually(lambda: len(second.got) >= 2500)
    assert got(second) == list(range(6, 2506))
    assert second.name_to_seq_id == {"me": 2505}


def test_first_start(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """What was in the store before is not fetched; what is lost from then on is, by the next."""
    stored(store, 5)
    first = run(Following, **config)
    eventually(lambda: watching(first))
    end(first)
    stored(store, 2, first=6)
    second = run(Following, **config)
    eventually(lambda: got(second) == [6, 7])
    assert first.got == []


def test_no_backlog(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """With ``backlog`` off it begins with what comes."""
    messages = stored(store, 9)
    first = run(Following, **config)
    deliver(first, *messages[:3])
    eventually(lambda: got(first) == [1, 2, 3])
    end(first)
    second = run(Following, backlog=False, **config)
    eventually(lambda: watching(second))
    deliver(second, messages[8])
    eventually(lambda: got(second) == [9])


def test_only_what_is_done_counts(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any, gate: Gate
) -> None:
    """A message in the hands of one worker holds the position, whatever the others have done."""
    messages = stored(store, 4)
    first = run(Following, **{**config, "moksha.workers_per_consumer": 2})
    eventually(lambda: watching(first))
    first.act = lambda message: gate() if message["body"]["seq_id"] == 2 else None
    deliver(first, *messages)
    eventually(lambda: sorted(got(first)) == [1, 2, 3, 4])
    eventually(lambda: first._recovery.position.value == 1)
    first._recovery.position.save(wait=True)
    second = run(Following, **config)  # as if the first had been killed
    eventually(lambda: got(second) == [2, 3, 4])


def test_topics(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """What the store has of other topics is passed over, and counts as done."""
    narrow = type("Narrow", (Following,), {"topic": ["org.fedoraproject.dev.t.1", "x"]})
    stored(store, 1)
    first = run(narrow, **config)
    eventually(lambda: watching(first))
    stored(store, 20, first=2)
    first._recovery._interval = 0.01
    eventually(lambda: first.name_to_seq_id == {"me": 21})
    end(first)
    assert got(first) == list(range(10, 20))
    assert first._recovery.position.value == 21


def test_idle_check(run: Callable[..., Any], config: Any, store: Any, eventually: Any) -> None:
    """A lost last message is found in the silence."""
    messages = stored(store, 1)
    consumer = run(Following, **{**config, "status_directory": None}, replay_idle_check=0.05)
    deliver(consumer, *messages)
    eventually(lambda: got(consumer) == [1])
    stored(store, 2, first=2)
    eventually(lambda: got(consumer) == [1, 2, 3])


def test_numbers_of_others(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any
) -> None:
    """A number counts only on a message that came from the publisher's own endpoint, if known."""
    endpoints = {"me": ["tcp://127.0.0.1:1"], "you": ["tcp://127.0.0.1:2"]}
    messages = stored(store, 3)
    heard = "tcp://127.0.0.1:1, tcp://127.0.0.1:2"
    consumer = run(
        Following, **{**config, "endpoints": endpoints, "zmq_subscribe_endpoints": heard}
    )
    eventually(lambda: watching(consumer))
    hub: Any = consumer.hub
    hub.origin = "tcp://127.0.0.1:2"
    deliver(consumer, *({"topic": "t", "seq_id": n, "msg_id": f"y{n}"} for n in (900, 2, 2)))
    hub.origin = "tcp://127.0.0.1:1"
    deliver(consumer, *messages)
    eventually(lambda: len(consumer.got) == 6)
    assert sorted(got(consumer)) == [1, 2, 2, 2, 3, 900]
    assert consumer.name_to_seq_id == {"me": 3}


def test_endpoint_that_is_not_known(
    run: Callable[..., Any], config: Any, store: Any, eventually: Any
) -> None:
    """Spelled differently where the hub listens: all numbers are taken for the publisher's."""
    endpoints = {"me": ["tcp://localhost:1"]}
    changes = {"endpoints": endpoints, "zmq_subscribe_endpoints": "tcp://[::1]:1"}
    consumer = run(Following, **{**config, **changes})
    eventually(lambda: watching(consumer))
    consumer.hub.origin = "tcp://[::1]:1"
    deliver(consumer, stored(store, 3)[2])
    eventually(lambda: got(consumer) == [1, 2, 3])


def test_messages_without_number(run: Callable[..., Any], config: Any, eventually: Any) -> None:
    """They do not wait for anything."""
    consumer = run(Following, **{**config, "status_directory": None})
    deliver(consumer, {"topic": "t", "msg": 1}, {"topic": "t", "seq_id": "x"})
    consumer.hub.deliver("t", "no JSON")
    eventually(lambda: len(consumer.got) == 3)
    assert consumer.name_to_seq_id == {"me": -1}


def test_consumer_that_is_never_started(config: Any) -> None:
    """Stopping it leaves nothing open."""
    consumer = Following(FakeHub(recorder=True, **config, validate_signatures=False))
    consumer.stop()
    assert consumer.wait_stopped(time.monotonic()) == 0


def test_another_publisher(
    run: Callable[..., Any], config: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written down for another ``replay_name`` does not count."""
    first = run(Following, start=False, **config)
    Path(first._recovery.position.path).write_text('{"name": "you", "seq_id": 5000}')
    with caplog.at_level(logging.ERROR):
        first.start_workers()
    assert "it is about 'you'" in caplog.text
