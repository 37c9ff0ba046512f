"""The publisher that binds: endpoints, readiness, options."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest
import zmq
from parts import PATIENCE

from fedmsg.exceptions import NoEndpointAvailable, NoPublisher
from fedmsg.transports import zeromq
from fedmsg.transports.zeromq import BindPublisher, SocketOptions


@pytest.fixture
def publisher(zmq_context):
    """A function that makes and opens a BindPublisher."""
    made = []

    def make(*endpoints, options=None, **arguments):
        options = options or SocketOptions(0, 0)
        made.append(BindPublisher(zmq_context, "me", list(endpoints), options, **arguments))
        made[-1].open()
        return made[-1]

    yield make
    for each in made:
        each.close(0)


def test_host_is_for_subscribers(publisher, port):
    """Of a TCP endpoint only the port counts; the socket binds all interfaces."""
    number = port()
    assert publisher(f"tcp://far.invalid:{number}").endpoint == f"tcp://0.0.0.0:{number}"


def test_ipv6_literal(publisher, port):
    """An IPv6 literal binds all IPv6 interfaces."""
    number = port()
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 on this machine")
    assert publisher(f"tcp://[::1]:{number}").endpoint == f"tcp://[::]:{number}"


@pytest.mark.parametrize("scheme", ["ipc", "inproc"])
def test_other_transports_are_literal(publisher, tmp_path, scheme):
    """Endpoints that are not TCP are bound as they are."""
    endpoint = f"{scheme}://{tmp_path}/s"
    assert publisher(endpoint).endpoint == endpoint


def test_taken_port_is_passed_over(publisher, address):
    """The first free endpoint is taken."""
    first, second = address(), address()
    publisher(first)
    assert publisher(first, second).endpoint[-5:] == second[-5:]


def test_ipc_path_in_use_is_passed_over(publisher, tmp_path):
    """A live publisher's ipc endpoint is not taken away from it."""
    first, second = f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b"
    publisher(first)
    assert publisher(first, second).endpoint == second


def test_stale_ipc_path_is_taken(publisher, tmp_path):
    """A path that a killed publisher left behind is used again."""
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(f"{tmp_path}/a")
    stale.close()
    assert publisher(f"ipc://{tmp_path}/a").endpoint == f"ipc://{tmp_path}/a"


@pytest.mark.parametrize(
    "endpoint", ["nonsense", "foo://x", "tcp://127.0.0.1:99999", "ipc:///no/such/place"]
)
def test_every_failure_has_its_reason(publisher, endpoint):
    """The error names the endpoint and chains the reason."""
    with pytest.raises(NoEndpointAvailable, match=f"Tried {endpoint}: .") as caught:
        publisher(endpoint)
    assert caught.value.__cause__ is not None


def test_no_endpoints(publisher):
    """An empty list is the same error."""
    with pytest.raises(NoEndpointAvailable, match="the list is empty"):
        publisher()


def test_failure_closes_its_sockets(zmq_context, publisher, address):
    """What could not be bound is not left open; the context can end."""
    endpoint = address()
    publisher(endpoint)
    with pytest.raises(NoEndpointAvailable):
        publisher(endpoint)
    assert len([sock for sock in zmq_context._sockets if not sock.closed]) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [(zmq.SNDHWM, 7), (zmq.LINGER, 5), (zmq.RCVHWM, 1000), (zmq.MAXMSGSIZE, 65536),
     (zmq.TCP_KEEPALIVE_IDLE, 9)],
)  # fmt: skip
def test_options(publisher, address, option, value):
    """Queue limit, linger, limits for what peers send, and the rest, are set."""
    options = SocketOptions(7, 5, ((int(zmq.TCP_KEEPALIVE_IDLE), 9),))
    assert publisher(address(), options=options).socket.getsockopt(option) == value


@pytest.mark.parametrize(("wait_for", "kind"), [(0, zmq.PUB), (1, zmq.XPUB)])
def test_kind_of_socket(publisher, address, wait_for, kind):
    """Subscriptions are shown only where they are waited for: peers may send rubbish."""
    assert publisher(address(), wait_for=wait_for).socket.type == kind


def test_settle_is_waited_in_full(publisher, address):
    """Without a number of subscriptions to wait for, open takes ``settle`` seconds."""
    began = time.monotonic()
    publisher(address(), settle=0.2)
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("count", [1, 3])
def test_wait_for_subscriptions(publisher, listener, address, count):
    """open returns as soon as so many subscriptions are in, and the next message reaches all."""
    endpoint = address()
    listening = [listener(endpoint) for _ in range(count)]
    there = publisher(endpoint, settle=PATIENCE * 2, wait_for=count)
    there.send(b"t", b"{}")
    assert [each.receive() for each in listening] == [[b"t", b"{}"]] * count


def test_too_few_subscriptions(publisher, address):
    """Without them open returns after ``settle`` seconds."""
    began = time.monotonic()
    publisher(address(), settle=0.2, wait_for=1)
    assert time.monotonic() - began >= 0.2


def test_subscriptions_that_go_away(publisher, listener, address, eventually):
    """Who has left is not counted any more."""
    endpoint = address()
    listening = listener(endpoint)
    there = publisher(endpoint, settle=PATIENCE, wait_for=1)
    listening.close()
    eventually(lambda: there.wait_for_subscriptions(0, 0) and there.subscriptions == 0)
    assert there.subscriptions == 0


def test_send_after_close(publisher, address):
    """A closed publisher refuses."""
    there = publisher(address())
    there.close(0)
    with pytest.raises(NoPublisher, match="closed"):
        there.send(b"t", b"{}")


def test_close_while_threads_send(publisher, address):
    """Closing under the feet of other threads gives them an error, not a crash."""
    there, errors = publisher(address()), []

    def work():
        try:
            while True:
                there.send(b"t", b"{}")
        except NoPublisher as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    there.close(0)
    for thread in threads:
        thread.join(PATIENCE)
    assert len(errors) == 4


def test_bind_reports_the_listening_descriptor(zmq_context, port):
    """The descriptor that libzmq listens on is known, for forked children to close."""
    sock, number = zmq_context.socket(zmq.PUB), port()
    fd = zeromq.bind_watched(sock, f"tcp://127.0.0.1:{number}")
    with socket.socket(fileno=os.dup(fd)) as copy:
        assert copy.getsockname()[1] == number
