"""Semi-public names of the listening half that applications reach into."""

from __future__ import annotations

import threading
import time

import pytest
from parts import GOOD, Listening, settings

from fedmsg.exceptions import ValidationError


def test_create_poller(make_context, address):
    """A poller, and one SUB socket an endpoint; relay_inbound is left out."""
    first, second = address(), address()
    context = make_context(
        **settings(mute=True, endpoints={"a": [first], "b": second, "relay_inbound": "x"})
    )
    poller, subs = context._create_poller()
    assert sorted(subs.values()) == [("a", first), ("b", second)]
    assert {sock for sock, _ in poller.sockets} == set(subs)
    context._close_subs(subs)


def test_close_subs(make_context, address):
    """Every key is closed."""
    context = make_context(**settings(mute=True, endpoints={"a": [address()]}))
    _, subs = context._create_poller()
    context._close_subs(subs)
    assert all(sock.closed for sock in subs)


def test_poll(make_context, publisher):
    """Messages of the sockets are yielded as by tail_messages."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"a": [there.endpoint]}))
    poller, subs = context._create_poller(topic="e")
    messages = context._poll(poller, subs)
    there.joined()
    there.send(GOOD)
    assert next(messages)[2] == "end"
    context._close_subs(subs)


def test_run_socket(make_context, publisher):
    """One message is received; one that is not acceptable is a ValidationError."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"a": [there.endpoint]}))
    _, subs = context._create_poller()
    there.joined()
    there.send([b"t", b"x"])
    with pytest.raises(ValidationError) as caught:
        context._run_socket(next(iter(subs)), "a", there.endpoint)
    assert caught.value.msg == [b"t", b"x"]
    context._close_subs(subs)


def test_bad_endpoints_are_skipped(make_context, address, caplog):
    """Malformed, impossible and unresolvable endpoints are logged and left out."""
    good = address()
    bad = ["nonsense", "tcp://127.0.0.1", "foo://x", "tcp://x.invalid:1"]
    context = make_context(**settings(mute=True, endpoints={"a": [*bad, good]}))
    _, subs = context._create_poller()
    assert list(subs.values()) == [("a", good)]
    context._close_subs(subs)


def test_hosts_are_looked_up_at_the_same_time(make_context, monkeypatch, caplog):
    """Fifty hanging names cost one timeout, and one line in the log a host."""
    release = threading.Event()
    monkeypatch.setattr("fedmsg.transports.addresses.lookup", lambda host: release.wait(60))
    names = [f"tcp://h{number}.invalid:{port}" for number in range(50) for port in (1, 2)]
    context = make_context(**settings(mute=True, endpoints={"a": names}, timeout=0.2))
    began = time.monotonic()
    context._create_poller()
    took = time.monotonic() - began
    release.set()
    resolving = [text for text in caplog.messages if text.startswith("Couldn't resolve 'h")]
    assert (took < 5, len(resolving)) == (True, 50)


def test_passive_needs_no_lookup(make_context, port, monkeypatch):
    """Where endpoints are bound their hosts do not matter."""
    monkeypatch.setattr("fedmsg.transports.addresses.lookup", lambda host: None)
    context = make_context(**settings(mute=True, endpoints={"a": [f"tcp://x.invalid:{port()}"]}))
    _, subs = context._create_poller(passive=True)
    assert len(subs) == 1
    context._close_subs(subs)


def test_destroy_closes_what_was_left(make_context, address, caplog):
    """Sockets of a poller that nobody closed do not keep destroy."""
    context = make_context(**settings(mute=True, endpoints={"a": [address()]}))
    _, subs = context._create_poller()
    context.destroy()
    assert (all(sock.closed for sock in subs), caplog.messages) == (True, [])


def test_destroy_ends_poll(make_context, publisher):
    """destroy ends a blocked _poll in another thread without an error."""
    there = publisher()
    context = make_context(**settings(mute=True, endpoints={"a": [there.endpoint]}))
    poller, subs = context._create_poller()
    listening = Listening(context._poll(poller, subs))
    there.joined()
    context.destroy()
    assert listening.over() == []
