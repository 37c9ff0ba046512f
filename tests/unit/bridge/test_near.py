"""Following a publisher that keeps its messages, with a real replay service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from parts import settings, stored

from fedmsg.bridge.near import Followed

Make = Callable[..., Followed]


@pytest.fixture
def follow(
    sql_store: Callable[..., Any], replay_server: Callable[..., Any], address: Callable[[], str]
) -> Callable[..., Any]:
    """A function that follows a new store; returns that, the follower and its messages."""

    def make(position: int | None, accept: Any = lambda message: True, **config: Any) -> Any:
        store, endpoint = sql_store(), address()
        server = replay_server(store, endpoint=endpoint)
        given = settings(replay_endpoints={"app": endpoint}, **{"replay_timeout": 20.0, **config})
        return store, server, Followed("app", given, position, accept, Counter())

    return make


def numbers(messages: Any) -> list[int]:
    """Return the numbers of messages."""
    return [message["seq_id"] for message in messages]


def test_goes_on_where_it_was(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """What the store has above the position comes first, in order; the position is that of it."""
    store, _, followed = follow(3)
    stored(store, 10)
    assert numbers(followed.look(zmq_context)) == [4, 5, 6, 7, 8, 9, 10]
    assert followed.position == 10
    assert numbers(followed.look(zmq_context)) == []  # it was asked a moment ago


def test_a_gap_is_filled_first(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """A message that is not the next brings what is missing, itself from the store."""
    store, _, followed = follow(0)
    kept = stored(store, 5)
    assert numbers(followed.arrived(kept[0], zmq_context)) == [1]
    assert numbers(followed.arrived(kept[3], zmq_context)) == [2, 3, 4, 5]
    assert numbers(followed.look(zmq_context)) == []


def test_begins_with_the_present(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """Without a position, what was published before is not carried."""
    store, _, followed = follow(None)
    stored(store, 5)
    assert numbers(followed.look(zmq_context)) == []
    assert followed.position == 5


def test_a_used_number_takes_no_message_away(
    follow: Callable[..., Any], zmq_context: zmq.Context[Any]
) -> None:
    """What arrives under a number that was taken is passed on: its id tells what it is."""
    store, _, followed = follow(0)
    kept = stored(store, 1)
    forged = {**kept[0], "msg_id": "x"}
    assert list(followed.arrived(forged, zmq_context)) == [forged]
    assert list(followed.arrived(kept[0], zmq_context)) == [kept[0]]


@pytest.mark.parametrize("begun", [0, None])
def test_numbers_of_strangers_do_not_begin_the_store_again(
    follow: Callable[..., Any], zmq_context: zmq.Context[Any], begun: int | None,
    eventually: Callable[..., Any],
) -> None:  # fmt: skip
    """The position goes back to what the store has shown, and what is new there is carried."""
    store, _, followed = follow(begun, replay_idle_check=0.0001)
    kept = stored(store, 3)
    list(followed.look(zmq_context))
    for number in (4, 5, 6):
        forged = {**kept[0], "seq_id": number, "msg_id": f"x{number}"}
        assert numbers(followed.arrived(forged, zmq_context)) == [number]
    stored(store, 2, first=4)
    assert eventually(lambda: numbers(followed.look(zmq_context))) == [4, 5]
    assert (followed.position, followed._counts["restarts"]) == (5, 0)


def test_first_number_of_a_stranger(
    follow: Callable[..., Any], zmq_context: zmq.Context[Any]
) -> None:
    """Without a position it is the store that says where to begin."""
    store, _, followed = follow(None)
    kept = stored(store, 3)
    hostile = {**kept[0], "seq_id": 2**62, "msg_id": "x"}
    assert numbers(followed.arrived(hostile, zmq_context)) == [2**62]
    assert followed.position == 3


def test_service_that_does_not_say_how_far_it_goes(
    follow: Callable[..., Any], zmq_context: zmq.Context[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of 1.1.7: a number is believed once the store has shown that it has it."""
    monkeypatch.setattr("fedmsg.replay.client.newest", lambda *arguments: None)
    store, _, followed = follow(0)
    kept = stored(store, 5)
    hostile = {**kept[0], "seq_id": 2**40, "msg_id": "x"}
    assert numbers(followed.arrived(hostile, zmq_context)) == [2**40]
    assert (followed.position, followed._counts["missing"]) == (0, 0)
    assert numbers(followed.arrived(kept[2], zmq_context)) == [1, 2, 3]
    assert followed.position == 3


def test_nothing_is_passed_over(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """While the service is away the position stays, whatever arrives."""
    store, server, followed = follow(1, replay_timeout=0.05)
    kept = stored(store, 5)
    server.close()
    for message in kept[2:]:
        assert numbers(followed.arrived(message, zmq_context)) == []
    assert followed.position == 1
    assert followed._counts["replay_failures"] == 1  # and it is not asked again at once


def test_a_number_out_of_reach(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """Nothing is counted up to what somebody claims; the message is carried as it is."""
    store, _, followed = follow(3)
    kept = stored(store, 3)
    hostile = {**kept[0], "seq_id": 2**62, "msg_id": "x"}
    assert numbers(followed.arrived(hostile, zmq_context)) == [2**62]
    assert followed.position == 3


def test_numbering_begins_again(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """A store that has less than was seen is a new one: all of it is carried."""
    store, _, followed = follow(1000)
    stored(store, 2)
    assert numbers(followed.look(zmq_context)) == [1, 2]
    assert followed._counts["restarts"] == 1


def test_invalid_and_unwanted(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """Neither is carried; the invalid one, and a number that the store lacks, are missing."""
    verdicts = {2: False, 3: None}
    store, _, followed = follow(0, lambda message: verdicts.get(message["seq_id"], True))
    kept = stored(store, 5)
    store.discard(kept[3])
    assert numbers(followed.look(zmq_context)) == [1, 5]
    assert followed._counts == {"missing": 2, "recovered": 2}


def test_no_number(follow: Callable[..., Any], zmq_context: zmq.Context[Any]) -> None:
    """What has no number is carried as it comes."""
    _, _, followed = follow(0)
    assert list(followed.arrived({"msg": 1}, zmq_context)) == [{"msg": 1}]
