"""A hub with a consumer that recovers gaps, and others beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from hubs import Recorder
from parts import Publisher, stored

pytest.importorskip("sqlalchemy", reason="pip install '.[sql]'")


class Following(Recorder):
    """Fetches what it misses of one publisher."""

    replay_name = "me"
    topic = "*"


class Other(Recorder):
    """Does not."""

    topic = "*"


def numbered(number: int) -> list[bytes]:
    """Return the frames of a message with a number."""
    body = {"topic": "t", "seq_id": number, "msg_id": f"id{number}", "msg": {}}
    return [b"t", json.dumps(body).encode()]


def got(consumer: Any) -> list[int]:
    """Return the numbers of what a consumer got."""
    return [each["body"]["seq_id"] for each in list(consumer.got)]


def test_others_do_not_wait(
    bus: Callable[..., Any], zmq_context: zmq.Context[Any], address: Any, eventually: Any
) -> None:
    """While a replay service keeps one consumer waiting, the hub goes on for the others."""
    endpoint = address()
    service = zmq_context.socket(zmq.ROUTER)
    service.bind(endpoint)
    hub, source = bus(
        Following, Other, replay_endpoints={"me": endpoint}, replay_timeout=600, io_threads=1
    )
    following, other = hub.consumers
    source.send(numbered(1), numbered(9))
    assert service.poll(20_000)
    source.send(*(numbered(number) for number in range(10, 3000)))
    eventually(lambda: len(other.got) == 2992)
    assert got(following) == [1]
    hub.close()
    assert got(following) == [1, *range(9, 3000)]


def test_several_publishers(
    make: Callable[..., Any], publisher: Callable[..., Publisher], eventually: Any,
    sql_store: Callable[..., Any], replay_server: Callable[..., Any],
) -> None:  # fmt: skip
    """Each numbers its own messages: those of the one that is not watched pass as they come."""
    store = sql_store()
    mine, yours = publisher(), publisher()
    messages = stored(store, 5)
    config = {
        **replay_server(store).config, "endpoints": {"me": [mine.endpoint], "you": yours.endpoint},
        "zmq_subscribe_endpoints": f"{mine.endpoint},{yours.endpoint}",
    }  # fmt: skip
    hub = make(Following, **config)
    hub.start()
    mine.joined()
    yours.joined()
    (consumer,) = hub.consumers
    yours.send(*(numbered(number) for number in (4, 4, 70, 5)))
    eventually(lambda: got(consumer) == [4, 4, 70, 5])
    for index in (0, 4):
        mine.send([messages[index]["topic"].encode(), json.dumps(messages[index]).encode()])
    eventually(lambda: got(consumer)[4:] == [1, 2, 3, 4, 5])
