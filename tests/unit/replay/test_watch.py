"""Following a publisher: the table of the specification, failures, and the idle check."""

from __future__ import annotations

import logging
import time

import pytest
from parts import settings, stored

from fedmsg.replay import check_for_replay
from fedmsg.replay.tracker import RESTART_DISTANCE
from fedmsg.replay.watch import Watched

pytest.importorskip("sqlalchemy")


def ids(messages):
    return [each["seq_id"] for each in messages]


def test_check_for_replay(replay_server, sql_store):
    """The table of the specification: not watched, no number, first, next, gap, seen."""
    store = sql_store()
    messages = stored(store, 9)
    config = replay_server(store).config
    last = {"me": -1}
    assert check_for_replay("you", last, {"seq_id": 1}, config) == [{"seq_id": 1}]
    assert check_for_replay("me", last, {"a": 1}, config) == [{"a": 1}]
    assert last == {"me": -1}
    assert check_for_replay("me", last, messages[2], config) == [messages[2]]
    assert check_for_replay("me", last, messages[3], config) == [messages[3]]
    assert check_for_replay("me", last, messages[8], config) == messages[4:9]
    assert last == {"me": 9}
    assert check_for_replay("me", last, messages[6], config) == []
    assert last == {"me": 9}


@pytest.mark.parametrize("cur", [4, 5])
def test_check_for_replay_from_a_plain_number(cur):
    """What is not above a stored number is handled already."""
    last = {"me": 5}
    assert check_for_replay("me", last, {"seq_id": cur}, settings()) == []
    assert last == {"me": 5}


def test_check_for_replay_that_fails(address, caplog):
    """Without an answer the message is delivered, the loss logged, and not asked for again."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=0.05)
    last = {"me": 3}
    with caplog.at_level(logging.WARNING, "fedmsg.replay"):
        assert check_for_replay("me", last, {"seq_id": 7}, config) == [{"seq_id": 7}]
    assert last == {"me": 7}
    assert "3 messages of 'me' between 3 and 7 are missing" in caplog.text
    assert check_for_replay("me", last, {"seq_id": 8}, config) == [{"seq_id": 8}]


def test_service_that_is_down_costs_half_of_the_time(replay_server, sql_store):
    """Right after a failure the service is not asked again, though it would answer."""
    store = sql_store()
    messages = stored(store, 9)
    watched = Watched("me", replay_server(store).config, last=1)
    watched._ask_again = time.monotonic() + 60
    assert list(watched.arrived(messages[4])) == [messages[4]]
    assert watched.counts == {"missing": 3}
    watched._ask_again = 0
    assert ids(watched.arrived(messages[8])) == [6, 7, 8, 9]


def test_refused_messages_may_come_late(replay_server, sql_store):
    """A recovered message that is not acceptable counts as missing: the live one is delivered."""
    store = sql_store()
    messages = stored(store, 4)
    watched = Watched("me", replay_server(store).config, last=1)
    found = watched.arrived(messages[3], accept=lambda msg: msg["seq_id"] != 3)
    assert ids(found) == [2, 4]
    assert ids(watched.arrived(messages[2])) == [3]
    assert watched.counts == {"recovered": 1, "missing": 1}


def test_idle_check(replay_server, sql_store):
    """Counting begins with the store's last number; what is stored later is found, once."""
    store = sql_store()
    messages = stored(store, 5)
    watched = Watched("me", replay_server(store).config)
    assert list(watched.idle()) == []
    # It was on its way.
    assert list(watched.arrived(messages[4])) == [messages[4]]
    late = stored(store, 2, first=6)
    assert list(watched.idle()) == late
    assert list(watched.idle()) == []
    assert list(watched.arrived(late[1])) == []


def test_idle_check_of_an_empty_store(replay_server, sql_store):
    """The very first message of a store is missed too, if it was lost."""
    store = sql_store()
    watched = Watched("me", replay_server(store).config)
    assert list(watched.idle()) == []
    messages = stored(store, 1)
    assert list(watched.idle()) == messages


def test_idle_check_that_fails(address, caplog):
    """What could not be fetched is asked for again; a service that is away, ever less often."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=0.05)
    watched = Watched("me", config, last=5)
    with caplog.at_level(logging.WARNING, "fedmsg.replay"):
        for failures in range(1, 4):
            watched._look_again = 0
            began = time.monotonic()
            assert list(watched.idle()) == []
            assert watched._look_again - began > 0.05 * 2**failures
        assert list(watched.idle()) == []
    assert len(caplog.records) == 3
    assert watched.tracker.last == 5


def test_idle_check_does_not_ask_again_for_what_was_refused(replay_server, sql_store):
    """It is counted as missing once, however often somebody looks."""
    store = sql_store()
    stored(store, 5)
    watched = Watched("me", replay_server(store).config, last=2)
    found = watched.idle(accept=lambda msg: msg["seq_id"] != 5)
    assert ids(found) == [3, 4]
    watched._late_again = float("inf")
    assert [list(watched.idle()) for _ in range(3)] == [[], [], []]
    assert (watched.tracker.last, watched.counts) == (5, {"recovered": 2, "missing": 1})


def test_a_new_numbering_is_counted_once(caplog):
    """And followed from its first message; the log names its number."""
    watched = Watched("me", settings(), last=RESTART_DISTANCE + 5)
    for number in (3, 4, 5):
        assert ids(watched.arrived({"seq_id": number, "msg_id": f"id{number}"})) == [number]
    assert watched.counts == {"restarts": 1}
    assert "the numbering of 'me' has begun again, at 3" in caplog.text
