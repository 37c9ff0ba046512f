"""The publisher that connects: addresses, holding, threads."""

from __future__ import annotations

import threading

import pytest
import zmq
from parts import PATIENCE

from fedmsg.exceptions import ConfigurationError, NoPublisher
from fedmsg.transports import addresses, forksafe
from fedmsg.transports.relay import RelayPublisher
from fedmsg.transports.zeromq import SocketOptions


@pytest.fixture
def publisher(zmq_context):
    """A function that makes and opens a RelayPublisher."""
    made = []

    def make(*endpoints, options=None, **arguments):
        options = options or SocketOptions(0, 0)
        made.append(RelayPublisher(zmq_context, "relay", list(endpoints), options, **arguments))
        made[-1].open()
        return made[-1]

    yield make
    for each in made:
        each.close(0)


def watchers():
    """Return the threads that wait for relays."""
    return [thread for thread in threading.enumerate() if thread.name == "fedmsg-relay-watch"]


def test_malformed_address(publisher):
    """An address that is none is a configuration error."""
    with pytest.raises(ConfigurationError, match="nonsense"):
        publisher("nonsense")


def test_frames(publisher, relay, address):
    """Topic and body arrive as they are."""
    there = relay(address())
    publisher(there.endpoint).send(b"\x00t", b"\xff")
    assert there.receive() == [b"\x00t", b"\xff"]


def test_ready(publisher, relay, address):
    """Ready as soon as a relay has subscribed."""
    assert publisher(relay(address()).endpoint, settle=PATIENCE).ready


def test_not_ready(publisher, relay, address):
    """A relay that has not subscribed to anything does not count."""
    assert not publisher(relay(address(), subscribed=False).endpoint, settle=0.2).ready


def test_wildcard(publisher, relay, address):
    """A relay that is configured as it binds, with the wildcard host, is on this machine."""
    there = relay(address())
    publisher(there.endpoint.replace("127.0.0.1", "*")).send(b"t", b"{}")
    assert there.receive() == [b"t", b"{}"]


def test_ipc(publisher, relay, tmp_path):
    """A relay may listen on an ipc path."""
    there = relay(f"ipc://{tmp_path}/s")
    publisher(there.endpoint).send(b"t", b"{}")
    assert there.receive() == [b"t", b"{}"]


def test_watcher_only_while_something_waits(publisher, relay, address, eventually):
    """The thread that waits for a relay ends when nothing is held any more."""
    endpoint = address()
    there = publisher(endpoint)
    there.send(b"t", b"{}")
    begun = len(watchers())
    relay(endpoint)
    eventually(lambda: not watchers())
    assert begun == 1


def test_no_threads_left(publisher, relay, address, monkeypatch):
    """Where no thread can be started messages are held, and leave with flush."""

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    endpoint = address().replace("127.0.0.1", "localhost")
    there = publisher(endpoint)
    there.send(b"t", b"{}")
    monkeypatch.undo()
    listening = relay(endpoint.replace("localhost", "127.0.0.1"))
    there.flush(PATIENCE)
    assert listening.receive() == [b"t", b"{}"]


def test_hanging_name_server(publisher, monkeypatch):
    """A name that gets no answer delays neither open nor send."""
    release = threading.Event()
    monkeypatch.setattr(addresses, "lookup", lambda host: release.wait(60) and None)
    there = publisher("tcp://hangs.invalid:1", settle=0.1)
    there.send(b"t", b"{}")
    release.set()
    assert there.flush(0) == 1


def test_hanging_first_address(publisher, relay, address, monkeypatch):
    """The next address of a list has its turn while the first one's name gets no answer."""
    release = threading.Event()
    monkeypatch.setattr(addresses, "lookup", lambda host: release.wait(60) and None)
    there = relay(address())
    publisher("tcp://hangs.invalid:1", there.endpoint).send(b"t", b"{}")
    heard = there.receive()
    release.set()
    assert heard == [b"t", b"{}"]


def test_descriptor_is_registered(publisher, relay, address, monkeypatch):
    """The connection is known, for forked children to close, and forgotten at the end."""
    monkeypatch.setattr(forksafe, "_registered", {})
    there = publisher(relay(address()).endpoint, settle=PATIENCE)
    before = len(forksafe._registered)
    there.close(0)
    assert (before, len(forksafe._registered)) == (1, 0)


def test_close_gives_up_what_is_held(publisher, address, caplog):
    """What nobody took is counted and logged, with the address."""
    endpoint = address()
    there = publisher(endpoint)
    there.send(b"t", b"{}")
    there.close(0)
    assert (there.undelivered, endpoint in caplog.text) == (1, True)


def test_close_twice(publisher, address):
    """close is idempotent; nothing is counted again."""
    there = publisher(address())
    there.send(b"t", b"{}")
    there.close(0)
    there.close(0)
    assert there.undelivered == 1


def test_send_after_close(publisher, relay, address):
    """A closed publisher refuses, with or without a relay."""
    for endpoint in (address(), relay(address()).endpoint):
        there = publisher(endpoint)
        there.close(0)
        with pytest.raises(NoPublisher, match="closed"):
            there.send(b"t", b"{}")


def test_limited_queue(publisher, relay, address):
    """The limit is set on the socket, and a refusal is seen."""
    there = publisher(relay(address()).endpoint, options=SocketOptions(7, 0))
    assert there.socket.getsockopt(zmq.SNDHWM) == 7
