"""Sockets that listen: every form of endpoint, names, and fairness."""

from __future__ import annotations

import socket
import threading
import time

import pytest
import zmq
from parts import GOOD, Listening, Publisher, settings

from fedmsg.transports import addresses, subscriber


def named(endpoint, host):
    """Return an endpoint with another host."""
    return f"tcp://{host}:{endpoint.rpartition(':')[2]}"


@pytest.mark.parametrize("host", ["*", "localhost", "127.0.0.1", "0.0.0.0"])
def test_hosts(publisher, listen, host):
    """The wildcard host means this machine; names and literals are as usual."""
    there = publisher()
    _, listening = listen(named(there.endpoint, host))
    there.joined()
    there.send(GOOD)
    assert listening.over()[0][1] == named(there.endpoint, host)


@pytest.fixture
def needs_ipv6():
    """Skip where the machine has no IPv6."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")


@pytest.mark.usefixtures("needs_ipv6")
def test_ipv6_literal(zmq_context, port, listen):
    """An IPv6 literal in brackets is connected to as such."""
    sock = zmq_context.socket(zmq.XPUB)
    sock.setsockopt(zmq.IPV6, 1)
    endpoint = f"tcp://[::1]:{port()}"
    sock.bind(endpoint)
    _, listening = listen(endpoint)
    assert sock.poll(20_000)
    sock.send_multipart(GOOD)
    assert listening.over()[0][1] == endpoint


def test_ipc(publisher, listen, tmp_path):
    """ipc endpoints are taken literally."""
    endpoint = f"ipc://{tmp_path}/s"
    there = publisher(endpoint)
    _, listening = listen(endpoint)
    there.joined()
    there.send(GOOD)
    assert listening.over()[0][1] == endpoint


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_passive(make_context, zmq_context, address, tmp_path, scheme):
    """With passive=True the endpoints are bound, TCP on all interfaces."""
    endpoint = address() if scheme == "tcp" else f"ipc://{tmp_path}/s"
    configured = named(endpoint, "x.invalid") if scheme == "tcp" else endpoint
    context = make_context(**settings(mute=True, endpoints={"me": [configured]}))
    listening = Listening(context.tail_messages(passive=True))
    there = zmq_context.socket(zmq.XPUB)
    there.connect(endpoint)
    assert there.poll(20_000)
    there.send_multipart(GOOD)
    assert listening.over()[0][1] == configured


def test_passive_port_that_is_taken(make_context, publisher):
    """An address that cannot be bound is an error, not silence."""
    context = make_context(**settings(mute=True, endpoints={"me": publisher().endpoint}))
    with pytest.raises(zmq.ZMQError, match="in use"):
        next(context.tail_messages(passive=True))


BAD = ["nonsense", "tcp://127.0.0.1", "tcp://:1", "foo://x", "tcp://h:\u00b2", "tcp://a\0b:1",
       "tcp://a..b:1", f"tcp://{'x' * 80}.invalid:1", "ipc://" + "x" * 300]  # fmt: skip


@pytest.mark.parametrize("endpoint", BAD)
def test_bad_endpoint_is_skipped(publisher, listen, endpoint, caplog, eventually):
    """What is no endpoint, or cannot be one, is logged; the others are listened to."""
    there = publisher()
    _, listening = listen([endpoint, there.endpoint])
    there.joined()
    eventually(lambda: caplog.text.count("WARNING") == 1)
    there.send(GOOD)
    assert len(listening.over()) == 1


def test_noisy_endpoint_does_not_starve_a_quiet_one(publisher, listen):
    """One message of a quiet endpoint is heard among a noisy one's backlog."""
    noisy, quiet = publisher(), publisher()
    _, listening = listen({"noisy": noisy.endpoint, "quiet": quiet.endpoint})
    noisy.joined()
    quiet.joined()
    noisy.send(*[[b"n", b"{}"]] * 20_000)
    quiet.send(GOOD)
    noisy.send(*[[b"n", b"{}"]] * 20_000)
    assert len(listening.over()) < 40_001


def test_noisy_endpoint_does_not_starve_a_name(publisher, make_context, monkeypatch):
    """A name is looked up again while another endpoint always has something waiting."""
    monkeypatch.setattr(subscriber, "_LOOKUP_AGAIN", 0.01)
    monkeypatch.setattr(subscriber, "DRAIN", 10)
    asked = []
    monkeypatch.setattr(addresses, "lookup", lambda host: asked.append(host))
    noisy, done, busy = publisher(), threading.Event(), threading.Event()
    endpoints = {"noisy": [noisy.endpoint], "quiet": ["tcp://gone.invalid:1"]}
    tail = make_context(**settings(mute=True, endpoints=endpoints)).tail_messages()
    sending = threading.Thread(
        target=lambda: (noisy.joined(), noisy.send(*[[b"n", b"{}"]] * 3000), done.set())
    )
    sending.start()
    next(tail)
    done.wait(20)
    before = len(asked)
    for _ in range(2900):
        next(tail)
        busy.wait(0.0001)  # a consumer that has work to do
    sending.join()
    tail.close()
    assert len(asked) > before


@pytest.fixture
def hanging(monkeypatch):
    """Names that end in ``.hang`` get no answer before the test ends."""
    release, lookup = threading.Event(), addresses.lookup

    def slow(host):
        if host.endswith(".hang"):
            release.wait(60)
            return None
        return lookup(host)

    monkeypatch.setattr(addresses, "lookup", slow)
    yield
    release.set()


@pytest.mark.usefixtures("hanging")
def test_hanging_names_do_not_delay_messages(publisher, listen):
    """With 50 names that do not resolve, live messages arrive as they are sent."""
    there = publisher()
    names = [f"tcp://h{number}.hang:1" for number in range(50)]
    _, listening = listen({"dead": names, "live": [there.endpoint]})
    there.joined()
    delays = []
    for number in range(20):
        began = time.monotonic()
        there.send([str(number).encode(), b"{}"])
        while len(listening.heard) <= number and time.monotonic() - began < 20:
            threading.Event().wait(0.001)
        delays.append(time.monotonic() - began)
    there.send(GOOD)
    listening.over()
    assert max(delays) < 1.5  # a name server is given at least two seconds


@pytest.mark.usefixtures("hanging")
def test_hanging_names_do_not_delay_the_end(listen):
    """destroy does not wait for names."""
    context, listening = listen({"dead": ["tcp://h.hang:1"]})
    context.destroy()
    assert listening.over() == []


def test_name_that_resolves_late(publisher, listen, monkeypatch):
    """A name that does not resolve at first is tried again."""
    monkeypatch.setattr(subscriber, "_LOOKUP_AGAIN", 0.05)
    answers = iter([None, None])
    monkeypatch.setattr(addresses, "lookup", lambda host: next(answers, "127.0.0.1"))
    there = publisher()
    _, listening = listen(named(there.endpoint, "late.invalid"))
    there.joined()
    there.send(GOOD)
    assert listening.over()


def test_unresolvable_name_is_logged_once(publisher, listen, monkeypatch, caplog, eventually):
    """The log names a host that does not resolve, once, however often it is tried."""
    monkeypatch.setattr(subscriber, "_LOOKUP_AGAIN", 0.01)
    asked = []
    monkeypatch.setattr(addresses, "lookup", lambda host: asked.append(host))
    listen(["tcp://gone.invalid:1", "tcp://gone.invalid:2"])
    eventually(lambda: len(asked) > 3)
    assert caplog.text.count("Couldn't resolve 'gone.invalid'") == 1


def test_name_is_looked_up_again_after_a_loss(zmq_context, port, listen, monkeypatch):
    """A publisher that moves to another address is followed."""
    monkeypatch.setattr(subscriber, "_LOOKUP_AGAIN", 0.05)
    where = ["127.0.0.1"]
    monkeypatch.setattr(addresses, "lookup", lambda host: where[0])
    number = port()
    first = Publisher(zmq_context, f"tcp://127.0.0.1:{number}")
    _, listening = listen(f"tcp://moves.invalid:{number}")
    first.joined()
    where[0] = "127.0.0.2"
    second = Publisher(zmq_context, f"tcp://127.0.0.2:{number}")
    first.socket.close(linger=0)
    second.joined()
    second.send(GOOD)
    assert listening.over()


def test_many_dead_endpoints(publisher, listen, address):
    """Hundreds of endpoints where nobody listens are no obstacle."""
    there = publisher()
    dead = [f"tcp://127.0.0.1:{number}" for number in range(1, 400)]
    _, listening = listen({"dead": dead, "live": there.endpoint})
    there.joined()
    there.send(GOOD)
    assert listening.over()
