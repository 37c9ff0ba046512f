"""What could not be fetched: remembered, asked for again, and delivered late."""

from __future__ import annotations

import logging
import threading
import time

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from parts import settings, stored

from fedmsg.replay import tracker
from fedmsg.replay.tracker import Holes
from fedmsg.replay.watch import Watched

pytest.importorskip("sqlalchemy")


def ids(messages):
    """Return the numbers of messages."""
    return [each["seq_id"] for each in messages]


@pytest.fixture
def store(sql_store):
    """An SQLite store."""
    return sql_store()


@pytest.fixture
def away(store, replay_server, address):
    """A function that returns a Watched behind a gap, whose server has come too late for it."""

    def make(messages, last=1, timeout=0.05):
        endpoint = address()
        config = settings(replay_endpoints={"me": endpoint}, replay_timeout=timeout)
        watched = Watched("me", config, last=last)
        assert ids(watched.arrived(messages[4])) == [5]
        watched._config = replay_server(store, endpoint=endpoint).config
        watched._late_again = 0
        return watched

    return make


def test_asked_for_again(store, away):
    """They come in front of the next message, and are missing no more."""
    messages = stored(store, 6)
    watched = away(messages)
    assert watched.holes.lowest == (2, 4)
    assert watched.counts == {"missing": 3}
    assert ids(watched.arrived(messages[5])) == [2, 3, 4, 6]
    assert watched.counts == {"missing": 0, "recovered": 3}
    assert watched.holes.lowest is None


def test_live_copies_of_what_came_late(store, away):
    """They are dropped, as those of all that was delivered."""
    messages = stored(store, 6)
    watched = away(messages)
    assert ids(watched.arrived(messages[5])) == [2, 3, 4, 6]
    assert [list(watched.arrived(each)) for each in messages[1:4]] == [[], [], []]
    assert watched.counts == {"missing": 0, "recovered": 3, "duplicates": 3}


@pytest.mark.parametrize("method", ["late", "idle"])
def test_asked_for_in_the_silence(store, away, method):
    """They come without any other message, too."""
    messages = stored(store, 5)
    assert ids(getattr(away(messages), method)()) == [2, 3, 4]


def test_some_arrive_meanwhile(store, away):
    """What arrives late by itself is not delivered twice."""
    messages = stored(store, 6)
    watched = away(messages)
    watched._late_again = float("inf")
    assert ids(watched.arrived(messages[2])) == [3]
    watched._late_again = 0
    assert ids(watched.arrived(messages[2])) == [2, 4]


def test_hole_below_what_is_remembered(store, away, monkeypatch):
    """A message of the gap is delivered, however many came since."""
    monkeypatch.setattr(tracker, "REMEMBERED", 2)
    messages = stored(store, 12)
    watched = away(messages)
    watched._late_again = float("inf")
    for each in messages[5:]:
        assert list(watched.arrived(each)) == [each]
    assert ids(watched.arrived(messages[2])) == [3]
    assert watched.counts["restarts"] == 0


def test_pauses_double(address, caplog):
    """A server that stays away is asked less and less often."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=0.01)
    watched = Watched("me", config, last=1)
    list(watched.arrived({"seq_id": 5, "topic": "t"}))
    caplog.clear()
    with caplog.at_level(logging.WARNING, "fedmsg.replay"):
        for number in range(1, 10):
            watched._late_again, began = 0, time.monotonic()
            assert list(watched.late()) == []
            assert watched._late_again - began >= 0.01 * 2 ** min(number, 5)
        watched._late_again = float("inf")
        assert list(watched.late()) == []
    assert len(caplog.records) == 9
    assert "is fedmsg-replay-server running" in caplog.text
    assert watched.holes.lowest == (2, 4)


def test_refused_once_and_then_signed(store, replay_server):
    """What was only being signed when it was fetched is asked for again, once."""
    messages = stored(store, 4)
    watched = Watched("me", replay_server(store).config, last=1)
    unsigned = {2, 3}
    found = watched.arrived(messages[3], accept=lambda msg: msg["seq_id"] not in unsigned)
    assert ids(found) == [4]
    watched._late_again = 0
    assert ids(watched.late(accept=lambda msg: msg["seq_id"] != 3)) == [2]
    watched._late_again = 0
    assert (watched.holes.lowest, list(watched.late())) == (None, [])


def test_service_whose_store_fails(store, replay_server, monkeypatch):
    """It is as if it was away: nothing is given up."""
    messages = stored(store, 5)
    server = replay_server(store)
    watched = Watched("me", server.config, last=1)
    with monkeypatch.context() as broken:
        broken.setattr(type(store), "stream", lambda *_: 1 / 0)
        assert list(watched.idle()) == []
        assert ids(watched.arrived(messages[4])) == [5]
    assert (watched.looked, watched.holes.lowest) == (False, (2, 4))
    watched._late_again = 0
    assert ids(watched.late()) == [2, 3, 4]


def test_service_that_dies_in_between(zmq_context, address):
    """A look is over only when everything up to the last number could be fetched."""
    endpoint = address()
    service = zmq_context.socket(zmq.ROUTER)
    service.bind(endpoint)
    config = settings(replay_endpoints={"me": endpoint}, replay_timeout=0.2)
    watched = Watched("me", {**config, "replay_timeout": 20}, last=1)

    def answer():
        peer, empty, _ = service.recv_multipart()
        watched._config = config
        service.send_multipart([peer, empty, b'{"seq_id": 7}'])

    thread = threading.Thread(target=answer)
    thread.start()
    assert list(watched.idle()) == []
    thread.join()
    assert (watched.looked, watched.tracker.last) == (False, 1)


def test_restart_forgets_holes(store, away):
    """They were of the old numbering."""
    messages = stored(store, 5)
    watched = away(messages)
    watched._late_again = float("inf")
    assert list(watched.arrived({**messages[4], "msg_id": "new"}))
    assert watched.holes.lowest is None


def test_store_that_ends_below(store, replay_server, caplog):
    """A small step back: what may be new is fetched.  A large one: all of it."""
    stored(store, 3)
    config = replay_server(store).config
    for last in (500, 50_000):
        watched = Watched("me", config, last=last)
        assert ids(watched.idle()) == [1, 2, 3]
        assert list(watched.idle()) == []
        assert watched.counts == {"restarts": 1, "recovered": 3}
    assert f"ends at 3, and {last} was seen" in caplog.text


def test_number_above_all(store, replay_server, caplog):
    """It is none of the store's: its message is delivered, and changes nothing."""
    messages = stored(store, 5)
    watched = Watched("me", replay_server(store).config, last=1)
    bogus = {"topic": "t", "seq_id": 10**15, "msg_id": "bogus"}
    assert list(watched.arrived(bogus)) == [bogus]
    assert watched.tracker.last == 1
    assert "above all in the store" in caplog.text
    assert ids(watched.arrived(messages[4])) == [2, 3, 4, 5]
    assert (list(watched.idle()), watched.counts) == ([], {"recovered": 3})


def test_empty_store(store, replay_server):
    """Nothing is concluded from it: old messages may be deleted."""
    watched = Watched("me", replay_server(store).config, last=500)
    assert list(watched.idle()) == []
    assert (watched.tracker.last, watched.counts) == (500, {})


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), max_size=30), st.data())
def test_holes_are_a_set(parts, data):
    """Ranges behave like the set of their numbers."""
    holes, model, end = Holes(), set(), 0
    for distance, length in parts:
        first = end + 1 + distance
        end = first + length - 1
        holes.add(first, end)
        model |= set(range(first, end + 1))
        number = data.draw(st.integers(1, end))
        assert holes.fill(number) == (number in model)
        model.discard(number)
        if data.draw(st.booleans()):
            upto = data.draw(st.integers(1, end))
            holes.forget(upto)
            model = {each for each in model if each > upto}
        assert {n for low, high in holes._ranges for n in range(low, high + 1)} == model
        assert (holes.lowest or (None,))[0] == min(model, default=None)


def test_too_many_holes(monkeypatch):
    """The oldest are given up, and counted."""
    monkeypatch.setattr(tracker, "MOST_HOLES", 3)
    holes = Holes()
    for first in range(10, 60, 10):
        holes.add(first, first + 3)
    assert (holes.lowest, holes.abandoned) == ((30, 33), 8)
    holes.add(9, 5)
    assert holes.lowest == (30, 33)
