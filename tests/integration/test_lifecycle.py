"""The end of contexts: destroyed, forgotten, or overtaken by the end of thread or interpreter."""

from __future__ import annotations

import gc
import socket
import threading
import time

import pytest
from parts import PATIENCE, relayed, settings

import fedmsg
from fedmsg import core


def is_free(endpoint):
    """Return whether a port can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as libzmq does
        try:
            probe.bind(("0.0.0.0", int(endpoint.rpartition(":")[2])))
        except OSError:
            return False
    return True


def bound(endpoint, **changes):
    """Return the configuration of a publisher that binds."""
    return settings(name="me", endpoints={"me": [endpoint]}, **changes)


def fill(context, count, size=1000):
    """Publish so many messages."""
    for number in range(count):
        context.publish(topic=str(number), msg={"x": "x" * size}, modname="t")


def test_destroy_delivers_to_a_relay(make_context, relay, address):
    """What was published before destroy arrives."""
    there = relay(address())
    # It waits for the relay: without one, 1000 messages are held and the rest is dropped.
    context = make_context(**relayed(there.endpoint, post_init_sleep=20, zmq_linger=20_000))
    fill(context, 2000)
    context.destroy()
    assert len(there.topics(2000)) == 2000


def test_destroy_delivers_to_subscribers(make_context, listener, address):
    """What waits for a connected subscriber arrives."""
    endpoint = address()
    listening = listener(endpoint)
    context = make_context(
        **bound(endpoint, post_init_sleep=20, wait_for_subscriptions=1, zmq_linger=20_000)
    )
    fill(context, 2000)
    context.destroy()
    assert [len(listening.receive()) for _ in range(2000)] == [2] * 2000


@pytest.fixture
def blocked(make_context, stalled, address, eventually):
    """A function that makes a context whose one subscriber does not take what is queued."""

    def make(**changes):
        endpoint = address()
        context = make_context(**bound(endpoint, wait_for_subscriptions=1, **changes))
        stalled(endpoint)
        eventually(lambda: context._transport.wait_for_subscriptions(1, 0))
        fill(context, 300, size=100_000)
        return context

    return make


@pytest.mark.parametrize("linger", [0, 300])
def test_destroy_is_bounded(blocked, linger):
    """A subscriber that never reads delays destroy by zmq_linger and a second at most."""
    context = blocked(zmq_linger=linger)
    began = time.monotonic()
    context.destroy()
    assert time.monotonic() - began < linger / 1000 + 1 + 5  # the last is for a slow machine


def test_linger_that_ran_out_is_logged(blocked, caplog):
    """Where destroy gives up messages, the log says so."""
    blocked(zmq_linger=100).destroy()
    assert "messages may not have left" in caplog.text


def test_destroy_frees_the_port(make_context, address):
    """The port can be bound again at once, many times in a row."""
    endpoint = address()
    for _ in range(10):
        make_context(**bound(endpoint)).destroy()
    assert is_free(endpoint)


def test_destroy_frees_the_port_under_connections(make_context, listener, address):
    """Connected subscribers do not keep the port."""
    endpoint = address()
    listening = listener(endpoint)
    for _ in range(5):
        context = make_context(**bound(endpoint, post_init_sleep=20, wait_for_subscriptions=1))
        fill(context, 1)
        listening.receive()
        context.destroy()
    assert make_context(**bound(endpoint)).publisher


def test_subscriber_follows_a_new_context(make_context, listener, address):
    """A subscriber hears the next publisher on the same port."""
    endpoint = address()
    listening = listener(endpoint)
    heard = []
    for number in range(3):
        context = make_context(**bound(endpoint, post_init_sleep=20, wait_for_subscriptions=1))
        context.publish(topic=str(number), modname="t")
        heard.append(listening.receive()[0][-1:])
        context.destroy()
    assert heard == [b"0", b"1", b"2"]


def test_destroy_closes_unfinished_tails(make_context, address):
    """A generator that nobody finished keeps nothing open."""
    context = make_context(**settings(mute=True, endpoints={"a": [address()]}))
    tails = [context.tail_messages() for _ in range(3)]
    tails[0].close()
    began = time.monotonic()
    context.destroy()
    assert time.monotonic() - began < 6


def test_socket_made_elsewhere_does_not_hang_destroy(make_context, zmq_context, caplog):
    """Somebody else's open socket on the context delays destroy by a second, and is logged."""
    import zmq

    context = make_context(**settings(mute=True, zmq_linger=0))
    foreign = context.context.socket(zmq.PUB)
    context.destroy()
    foreign.close(linger=0)
    assert "made outside fedmsg" in caplog.text


def in_thread(function):
    """Run a function in a thread and wait for its end."""
    thread = threading.Thread(target=function)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_thread_that_ends_releases_its_port(address, eventually):
    """A thread that ends without destroy gives its port back."""
    endpoint = address()
    in_thread(lambda: fedmsg.init(**bound(endpoint)))
    assert eventually(lambda: is_free(endpoint))


def test_thread_that_ends_delivers(relay, address):
    """What a thread published before it ended arrives."""
    there = relay(address())

    def work():
        fill(fedmsg.init(**relayed(there.endpoint)), 100)

    in_thread(work)
    assert len(there.topics(100)) == 100


def test_thread_that_ends_with_an_open_tail(address, eventually):
    """A generator left open in a thread that ends is no obstacle."""
    endpoint = address()

    def work():
        fedmsg.init(**bound(endpoint))
        tail = fedmsg.tail_messages()
        threading.Timer(0.05, lambda: None).run()
        del tail

    in_thread(work)
    gc.collect()
    assert eventually(lambda: is_free(endpoint))


def test_forgotten_context_is_released(address, eventually):
    """A context that is collected closes its sockets in the background."""
    endpoint = address()
    core.FedMsgContext(**bound(endpoint))
    gc.collect()
    assert eventually(lambda: is_free(endpoint) and not core._releasing)


def test_failed_constructor_leaves_nothing(address, make_context):
    """A constructor that raises holds no port and no live context."""
    endpoint = address()
    with pytest.raises(TypeError):
        make_context(**bound(endpoint, post_init_sleep="long"))
    assert is_free(endpoint)
