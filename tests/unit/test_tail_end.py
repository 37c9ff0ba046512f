"""How generators of tail_messages end."""

from __future__ import annotations

import gc
import threading

import pytest
import zmq
from parts import GOOD, Listening, settings


def test_destroy_ends_a_blocked_generator(publisher, listen):
    """destroy in one thread makes the generator in another stop."""
    there = publisher()
    context, listening = listen(there.endpoint)
    there.joined()
    context.destroy()
    assert listening.over() == []


def test_destroy_ends_a_generator_between_messages(publisher, make_context):
    """A generator that is not being iterated ends as well."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"me": there.endpoint}))
    tail = context.tail_messages()
    sending = threading.Thread(target=lambda: (there.joined(), there.send(GOOD, GOOD)))
    sending.start()
    next(tail)
    sending.join()
    context.destroy()
    assert list(tail) == []


def test_generator_of_a_destroyed_context(make_context):
    """Begun after destroy, a generator is empty."""
    context = make_context(**settings(mute=True, endpoints={"me": "tcp://127.0.0.1:1"}))
    tail = context.tail_messages()
    context.destroy()
    assert list(tail) == []


@pytest.mark.parametrize("end", ["close", "collect"])
def test_generator_that_ends_unsubscribes(publisher, make_context, end):
    """Closed or collected, a generator closes its sockets."""
    there = publisher()
    there.socket.setsockopt(zmq.XPUB_VERBOSER, 1)
    context = make_context(**settings(mute=True, endpoints={"me": there.endpoint}))
    tail = context.tail_messages()
    sending = threading.Thread(target=lambda: (there.joined(), there.send(GOOD)))
    sending.start()
    next(tail)
    sending.join()
    if end == "close":
        tail.close()
    del tail
    gc.collect()
    assert there.joined() == b"\x00"


def test_destroy_while_it_opens_sockets(make_context, address):
    """destroy in the middle of opening hundreds of sockets ends the generator, no error."""
    endpoints = {"me": [address() for _ in range(200)]}
    for _ in range(10):
        context = make_context(**settings(mute=True, endpoints=endpoints))
        listening = Listening(context.tail_messages())
        context.destroy()
        assert listening.over() == []


def test_destroy_while_it_begins_without_endpoints(make_context, monkeypatch):
    """There is no socket whose context ends, and the generator ends all the same."""
    from fedmsg.transports import subscriber

    context = make_context(**settings(mute=True, endpoints={}))
    original = subscriber.Subscriber.__init__

    def destroyed_meanwhile(self, *arguments, **keywords):
        original(self, *arguments, **keywords)
        other = threading.Thread(target=context.destroy)
        other.start()
        other.join(20)
        assert not other.is_alive()

    monkeypatch.setattr(subscriber.Subscriber, "__init__", destroyed_meanwhile)
    listening = threading.Thread(target=list, args=(context.tail_messages(),), daemon=True)
    listening.start()
    listening.join(20)
    assert not listening.is_alive()
