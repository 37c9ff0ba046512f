"""Gap recovery of ``tail_messages``: real sockets, a real store, and messages that are lost."""

from __future__ import annotations

import json
import logging
import time

import pytest
from parts import PATIENCE, settings, stored

import fedmsg

pytest.importorskip("sqlalchemy")


class Bus:
    """A publisher with a store behind it, and a tail in a thread that watches it.

    What is stored and not sent is lost on the way.
    """

    def __init__(self, publisher, listen, config, **changes):
        self.publisher = publisher
        wanted = ("replay_endpoints", "replay_timeout")
        changes = {**{key: config[key] for key in wanted}, **changes}
        self.context, self.tail = listen({"me": publisher.endpoint}, **changes)
        publisher.joined()

    def send(self, *messages):
        for each in messages:
            self.publisher.send([each["topic"].encode(), json.dumps(each).encode()])

    def heard(self, *more):
        """Return the messages yielded until the end, which ``more`` come before."""
        self.send(*more, {"topic": "end"})
        return [message for _, _, _, message in self.tail.over()[:-1]]


@pytest.fixture
def store(sql_store):
    """An SQLite store."""
    return sql_store()


@pytest.fixture
def bus(publisher, listen, replay_server, store):
    """A function that returns a Bus on the store."""
    return lambda **changes: Bus(publisher(), listen, replay_server(store).config, **changes)


def test_cut_off_for_10_000_messages(bus, store):
    """Every message is yielded, in order, once."""
    messages = stored(store, 10_003)
    link = bus()
    link.send(messages[0], messages[-2], messages[5], messages[-1])
    assert link.heard() == messages
    found = link.tail.heard[:-1]
    assert [topic for _, _, topic, _ in found] == [message["topic"] for message in messages]
    assert {item[:2] for item in found} == {("me", link.publisher.endpoint)}
    assert link.context.replayed == {"recovered": 10_000, "duplicates": 1}


def test_after_a_recovery_it_goes_on(bus, store):
    """Gap after gap is filled, and what comes between them is yielded as it comes."""
    messages = stored(store, 30)
    link = bus()
    assert link.heard(*messages[::3], messages[-1]) == messages


def test_messages_without_number(bus, store):
    """They are yielded where they arrive."""
    messages = stored(store, 3)
    plain = {"topic": "plain", "msg": {}}
    assert bus().heard(messages[0], plain, messages[2]) == [messages[0], plain, *messages[1:]]


def test_other_names_are_not_watched(bus, store, publisher, listen):
    """Under a name that replay_endpoints does not have, numbers mean nothing."""
    messages = stored(store, 3)
    link = bus(replay_endpoints={"you": "tcp://127.0.0.1:9"})
    assert link.heard(messages[0], messages[2], messages[0]) == [messages[i] for i in (0, 2, 0)]


def test_service_that_is_away(publisher, listen, address, caplog):
    """The loss is logged, the current message is yielded, and so are the following ones."""
    config = settings(replay_endpoints={"me": address()}, replay_timeout=0.05)
    link = Bus(publisher(), listen, config)
    sent = [{"topic": "t", "seq_id": n} for n in (1, 5, 6)]
    with caplog.at_level(logging.WARNING, "fedmsg.replay"):
        assert link.heard(*sent) == sent
    assert "3 messages of 'me' between 1 and 5 are missing" in caplog.text
    assert "did not answer within 0.05 s" in caplog.text


def test_recovered_messages_pass_the_same_checks(bus, store):
    """One from the store that the bus would not let through is dropped and counted."""
    messages = stored(store, 4)
    store.update({**messages[1], "topic": "bad\x07topic"})
    store.update({"seq_id": 3, "topic": None})
    link = bus()
    with pytest.warns(UserWarning, match="invalid message received"):
        assert link.heard(messages[0], messages[3]) == [messages[0], messages[3]]
    assert sum(link.context.rejected.values()) == 2
    assert link.context.replayed == {"missing": 2}


def test_signatures_of_recovered_messages(bus, store, pki, make_context):
    """Each is validated like any other; the signature covers the number."""
    context = make_context(**settings(
        **pki.config, name="me", endpoints={"me": ["tcp://127.0.0.1:*"]}, sign_messages=True,
        certnames={"me": "leaf"}, persistent_store=store,
    ))  # fmt: skip
    for number in range(6):
        context.publish(topic=f"t{number}" if number < 5 else "end", modname="m")
    messages = store.get({"seq_id_range": [1, 6]})
    store.update({**messages[2], "msg": "forged"})
    validating = {key: pki.config[key] for key in pki.config if key != "certname"}
    link = bus(**validating, validate_signatures=True)
    with pytest.warns(UserWarning, match="invalid message received"):
        link.send(*(messages[index] for index in (0, 4, 2, 5)))
        found = [item[3]["seq_id"] for item in link.tail.over()]
    assert found == [1, 2, 4, 5, 3, 6]
    assert sum(link.context.rejected.values()) == 1


def test_recovered_messages_of_other_topics(bus, store):
    """With a topic, what the store has of others is not yielded."""
    messages = stored(store, 4)
    link = bus(topic=messages[2]["topic"])
    link.send(messages[0], messages[2])
    stored(store, 1, first=5)
    store.update({**messages[2], "seq_id": 5})
    late = {**messages[2], "seq_id": 7, "msg_id": "7"}
    link.send(late)
    link.send({**late, "topic": late["topic"] + ".end", "seq_id": 8})
    found = [item[3]["seq_id"] for item in link.tail.over()]
    assert found == [3, 5, 7, 8]


def test_new_store(bus, store, caplog):
    """A publisher that counts anew is followed at once."""
    messages = stored(store, 5)
    renewed = [{**each, "msg_id": f"new-{each['seq_id']}"} for each in messages[:3]]
    with caplog.at_level(logging.WARNING, "fedmsg.replay"):
        assert bus().heard(*messages, *renewed) == [*messages, *renewed]
    assert "the numbering of 'me' has begun again, at 1" in caplog.text


def test_lost_last_message_is_found(bus, store, eventually):
    """With ``replay_idle_check`` the store is asked in silence, and the last message is yielded."""
    messages = stored(store, 2)
    link = bus(replay_idle_check=0.05)
    link.send(messages[0], messages[1])
    lost = stored(store, 2, first=3)
    eventually(lambda: len(link.tail.heard) == 4, "the lost messages")
    assert link.heard(lost[1]) == [*messages, *lost]


def test_idle_check_of_a_quiet_publisher(bus, store, eventually, publisher):
    """A name from which nothing was heard is watched too, from the first check on."""
    stored(store, 2)
    link = bus(replay_idle_check=0.02)
    lost = []

    def found():
        lost.extend(stored(store, 1, first=3 + len(lost)))
        return link.tail.heard

    eventually(found, "a message that was never sent")
    assert link.tail.heard[0][:3] == ("me", link.publisher.endpoint, link.tail.heard[0][3]["topic"])


def test_destroy_ends_a_request(publisher, listen, address, eventually):
    """A tail that waits for a service ends with its context, within the promised time."""
    link = Bus(publisher(), listen, settings(replay_endpoints={"me": address()}, replay_timeout=60))
    link.send({"topic": "t", "seq_id": 1}, {"topic": "t", "seq_id": 5})
    eventually(lambda: link.tail.heard, "the first message")
    began = time.monotonic()
    link.context.destroy()
    link.tail.over()
    assert time.monotonic() - began < PATIENCE


def test_poll(make_context, publisher, replay_server, store):
    """``_poll`` of 1.1.7 yields one four-tuple a message, and recovers too."""
    messages = stored(store, 5)
    there = publisher()
    config = {**replay_server(store).config, "name": None, "mute": True}
    context = make_context(**{**config, "endpoints": {"me": there.endpoint}})
    poller, subs = context._create_poller()
    there.joined()
    for each in (messages[0], messages[3], messages[2], messages[4]):
        there.send([each["topic"].encode(), json.dumps(each).encode()])
    polled = context._poll(poller, subs)
    expected = [("me", there.endpoint, each["topic"], each) for each in messages]
    assert [next(polled) for _ in messages] == expected
    polled.close()
    context._close_subs(subs)


def test_replay_is_reachable():
    """``fedmsg.replay`` is there after ``import fedmsg``."""
    assert callable(fedmsg.replay.get_replay)
