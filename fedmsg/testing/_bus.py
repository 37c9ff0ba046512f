"""A bus within the process of a test: real sockets, real frames, no relay, no waiting."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import fedmsg

from .. import config as config_module
from ..core import FedMsgContext
from ..exceptions import NoEndpointAvailable
from ..transports.zeromq import BindPublisher
from ._redirect import is_redirected, redirected

#: Longest wait for what should happen at once, seconds.
_PATIENCE = 20.0
#: Another process may take a free port before we bind it.
_ATTEMPTS = 20


class Received(NamedTuple):
    """One item of ``tail_messages``."""

    name: str
    endpoint: str
    topic: str
    message: dict[str, Any]


class Bus:
    """A publisher, and a subscriber to everything that has joined it.

    Attributes:
        config: the configuration of both; more subscribers can be made with it.
        publisher: the publishing context.
        subscriber: the listening one; ``subscriber.rejected`` counts what it dropped.
    """

    def __init__(self, publisher: FedMsgContext, subscriber: FedMsgContext) -> None:
        self.config: dict[str, Any] = publisher.c
        self.publisher, self.subscriber = publisher, subscriber
        self._arrived: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="fedmsg-testing", daemon=True)

    @property
    def endpoint(self) -> str:
        """The address that the publisher is bound to."""
        return str(self.config["endpoints"][self.config["name"]][0])

    def publish(self, topic: str | None = None, msg: Any = None, **kw: Any) -> None:
        """Publish on this bus; so does ``fedmsg.publish``, in any thread."""
        self.publisher.publish(topic, msg, **kw)

    def receive(self, timeout: float = _PATIENCE) -> Received:
        """Return the next message that the subscriber has received and accepted.

        Args:
            timeout: longest wait, in seconds.

        Raises:
            TimeoutError: there was none.
        """
        try:
            return self._arrived.get(timeout=timeout)
        except queue.Empty:
            dropped = dict(self.subscriber.rejected)
            raise TimeoutError(
                f"no message on the bus within {timeout:g} s; rejected so far: {dropped or 'none'}."
                " Was one published, and is it signed as 'validate_signatures' wants it?"
            ) from None

    def _listen(self) -> None:
        for item in self.subscriber.tail_messages():
            self._arrived.put(Received(*item))


@contextlib.contextmanager
def loopback_bus(**config: Any) -> Iterator[Bus]:
    """Give a bus on a free port of the loopback interface, with one subscriber that has joined.

    What any thread of this process publishes goes there until the end of the block, with the
    configuration of the bus for threads that have no context yet.

    Args:
        config: options, such as those of :class:`Authority`; ``name`` and the ``endpoints`` of it
            are the bus's own.

    Raises:
        RuntimeError: messages are captured, or redirected to another bus, already.
        NoEndpointAvailable: no free port was found.
        TimeoutError: the subscriber did not join.
    """
    if is_redirected():
        raise RuntimeError(
            "a bus cannot be made while messages are captured (mock_sends, fedmsg_sent) or"
            " go to another bus: make the bus first, or only one of them"
        )
    with contextlib.ExitStack() as stack:
        publisher = _bound(config)
        stack.callback(publisher.destroy)
        listening = {**publisher.c, "mute": True, "sign_messages": False}
        subscriber = FedMsgContext(**listening)
        stack.callback(subscriber.destroy)
        bus = Bus(publisher, subscriber)
        bus._thread.start()
        transport = cast("BindPublisher", publisher._transport)
        if not transport.wait_for_subscriptions(1, _PATIENCE):
            raise TimeoutError(f"nobody subscribed to {bus.endpoint} within {_PATIENCE:g} s")
        stack.enter_context(_used_by_everybody(bus))
        yield bus


def _bound(config: dict[str, Any]) -> FedMsgContext:
    """Return a context that publishes at a free port."""
    name = config.get("name") or "fedmsg-testing"
    basis = {**_defaults(), **config, "name": name, "mute": False, "active": False}
    # An XPUB socket: it knows when somebody has subscribed.
    basis.update(zmq_enabled=True, wait_for_subscriptions=1, post_init_sleep=0)
    for attempt in range(_ATTEMPTS):
        endpoints = {**config.get("endpoints", {}), name: [f"tcp://127.0.0.1:{_free_port()}"]}
        try:
            return FedMsgContext(**{**basis, "endpoints": endpoints})
        except NoEndpointAvailable:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("not reached")


def _defaults() -> dict[str, Any]:
    """Return the options that a context needs, without what is in files."""
    wanted = ("io_threads", "high_water_mark", "topic_prefix", "environment", "zmq_linger")
    return {key: config_module.defaults[key] for key in wanted}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _used_by_everybody(bus: Bus) -> Iterator[None]:
    remembered = fedmsg._remembered
    fedmsg._remember(bus.config)
    try:
        with redirected(bus.publisher._transport):  # type: ignore[arg-type]
            yield
    finally:
        fedmsg._remembered = remembered
