"""Fixtures that give tests contexts, and somebody to talk to; tests/conftest.py imports them."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import openssl_parts
import pytest
import zmq
from parts import Listening, Publisher, Relay, ReplayServer, Stalled, settings

import fedmsg


@pytest.fixture
def make_context() -> Iterator[Callable[..., fedmsg.FedMsgContext]]:
    """A function that makes a FedMsgContext of its own; it is destroyed with the test."""
    made: list[fedmsg.FedMsgContext] = []

    def make(**config: Any) -> fedmsg.FedMsgContext:
        made.append(fedmsg.FedMsgContext(**config))
        return made[-1]

    yield make
    for context in made:
        context.destroy()


@pytest.fixture
def relay() -> Iterator[Callable[..., Relay]]:
    """A function that starts the receiving half of a relay on an address."""
    with contextlib.ExitStack() as stack:
        yield lambda endpoint, subscribed=True: _closing(stack, Relay(endpoint, subscribed))


@pytest.fixture
def listener() -> Iterator[Callable[..., Relay]]:
    """A function that starts a subscriber in a thread, connected to an address."""
    with contextlib.ExitStack() as stack:
        yield lambda endpoint: _closing(stack, Relay(endpoint, bind=False))


@pytest.fixture
def replay_server(
    address: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ReplayServer]]:
    """A function that serves a store to subscribers, in a thread; it hears of its end sooner."""
    monkeypatch.setattr("fedmsg.replay.server._CYCLE", 20)
    with contextlib.ExitStack() as stack:
        yield lambda store, **config: _closing(
            stack, ReplayServer(store, config.pop("endpoint", None) or address(), **config)
        )


@pytest.fixture
def stalled() -> Iterator[Callable[..., Stalled]]:
    """A function that connects a subscriber which never reads to a publisher."""
    with contextlib.ExitStack() as stack:
        yield lambda endpoint: _closing(stack, Stalled(endpoint))


def _closing(stack: contextlib.ExitStack, part: Any) -> Any:
    stack.callback(part.close)
    return part


@pytest.fixture
def publisher(zmq_context, address):
    """A function that binds a publisher on a free address, or a given one."""
    return lambda endpoint=None: Publisher(zmq_context, endpoint or address())


@pytest.fixture
def feeder(zmq_context):
    """A function that returns a publishing socket connected to a relay that has subscribed."""

    def connect(endpoint):
        sock = zmq_context.socket(zmq.XPUB)
        sock.setsockopt(zmq.SNDHWM, 0)
        sock.connect(endpoint)
        assert sock.poll(10_000), "the relay did not subscribe"
        sock.recv()
        return sock

    return connect


@pytest.fixture
def pki(tmp_path):
    """A CA, a revocation list and a certificate in a directory; see tests/pki.py."""
    from pki import Pki

    return Pki(tmp_path / "pki")


class Clock:
    """The clocks of fedmsg.crypto, moved by hand."""

    def __init__(self):
        self.ahead = 0.0
        self.fixed = None

    def now(self):
        return (time.time() if self.fixed is None else self.fixed) + self.ahead

    def elapsed(self):
        return time.monotonic() + self.ahead


@pytest.fixture
def clock(monkeypatch):
    """Let time pass: ``clock.ahead += seconds``; or stand still at ``clock.fixed``."""
    found = Clock()
    monkeypatch.setattr("fedmsg.crypto.utils.now", found.now)
    monkeypatch.setattr("fedmsg.crypto.utils.elapsed", found.elapsed)
    return found


@pytest.fixture
def openssl():
    """A function that runs the openssl command."""

    def run(*arguments, **settings):
        done = openssl_parts.openssl(*arguments, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def listen(make_context):
    """A function that listens to endpoints in a thread; returns context and thread."""
    started = []

    def start(endpoints, topic="", **changes):
        if not isinstance(endpoints, dict):
            endpoints = {"me": endpoints}
        context = make_context(**settings(mute=True, endpoints=endpoints, **changes))
        started.append(Listening(context.tail_messages(topic=topic)))
        return context, started[-1]

    return start


@pytest.fixture(scope="session")
def peer() -> str:
    """The directory of 1.1.7's commands; made by ``make peer``."""
    found = os.environ.get("FEDMSG_PEER", "")
    if not os.path.exists(os.path.join(found, "fedmsg-relay")) or not found:
        if os.environ.get("CI"):
            pytest.fail("FEDMSG_PEER does not name the commands of fedmsg 1.1.7")
        pytest.skip("fedmsg 1.1.7 is not installed here; see `make peer`")
    return found
