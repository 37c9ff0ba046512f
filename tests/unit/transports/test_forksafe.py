"""Descriptors that a forked child closes, without a fork."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from fedmsg.transports import forksafe


@pytest.fixture(autouse=True)
def nothing_registered(monkeypatch):
    """Start without descriptors of other tests."""
    monkeypatch.setattr(forksafe, "_registered", {})


@pytest.fixture
def listener():
    """A socket that listens, whose descriptor a test may close."""
    sock = socket.create_server(("127.0.0.1", 0))
    yield sock
    close(sock)


@pytest.fixture
def connection(listener):
    """The two ends of a connection to it: accepted, connecting."""
    near = socket.create_connection(listener.getsockname())
    far, _ = listener.accept()
    yield far, near
    close(far)
    close(near)


def close(sock):
    """Close a socket whose descriptor may be closed already."""
    fd = sock.detach()
    with contextlib.suppress(OSError):
        os.close(fd)


def is_open(sock):
    """Return whether the descriptor of a socket is open."""
    try:
        os.fstat(sock.fileno())
    except OSError:
        return False
    return True


def test_listener_is_closed(listener):
    """What was registered is closed in the child."""
    forksafe.register(listener.fileno())
    forksafe._close_in_child()
    assert not is_open(listener)


def test_accepted_connections_are_closed(listener, connection):
    """Connections that the listener accepted are closed with it; the other end is not ours."""
    forksafe.register(listener.fileno())
    forksafe._close_in_child()
    assert [is_open(end) for end in connection] == [False, True]


def test_connection_is_closed_alone(listener, connection):
    """A registered connection is closed, and nothing else."""
    forksafe.register(connection[1].fileno())
    forksafe._close_in_child()
    assert (is_open(connection[1]), is_open(listener)) == (False, True)


def test_discarded_descriptor_stays(listener):
    """What the parent has closed itself is left alone."""
    forksafe.register(listener.fileno())
    forksafe.discard(listener.fileno())
    forksafe._close_in_child()
    assert is_open(listener)


def test_number_that_was_used_again(listener):
    """A descriptor that is another socket by now is not closed."""
    fd = listener.fileno()
    forksafe.register(fd)
    with socket.create_server(("127.0.0.1", 0)) as other:
        os.dup2(other.fileno(), fd)
    forksafe._close_in_child()
    assert is_open(listener)


@pytest.mark.parametrize("make", [lambda: os.pipe(), lambda: [99999]], ids=["pipe", "closed"])
def test_what_is_no_socket_is_ignored(make):
    """Pipes, and numbers that are not open, are not registered."""
    fds = make()
    forksafe.register(fds[0])
    for fd in fds:
        if fd < 99999:
            os.close(fd)
    assert forksafe._registered == {}


def test_datagram_sockets_are_ignored():
    """Only stream sockets are libzmq's."""
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        forksafe.register(sock.fileno())
    assert forksafe._registered == {}


def test_unix_listener(tmp_path):
    """Listeners of ipc endpoints are closed too."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(tmp_path / "s"))
    sock.listen()
    forksafe.register(sock.fileno())
    forksafe._close_in_child()
    closed = not is_open(sock)
    close(sock)
    assert closed


def test_register_does_not_close(listener):
    """Looking at a descriptor leaves it open."""
    forksafe.register(listener.fileno())
    assert is_open(listener)
