"""Where a hub's messages come from: something that is read in a thread of its own."""

from __future__ import annotations

import abc
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

import zmq

from ..exceptions import NoEndpointAvailable
from ..transports import addresses
from ..transports.subscriber import Subscriber
from .dispatch import Dispatcher

_log = logging.getLogger("moksha.hub")

#: Longest wait for the thread to end, seconds.
_STOP_SECONDS = 10.0


class Source(abc.ABC):
    """Receives in a thread of its own.

    Args:
        name: of the thread.

    Attributes:
        error: what ended it, if it was an error.
    """

    def __init__(self, name: str) -> None:
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: BaseException | None = None

    @property
    def running(self) -> bool:
        """True while messages are received."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._receive()
        except BaseException as error:
            self.error = error
            _log.exception("%s: receiving ended with an error", type(self).__name__)

    @abc.abstractmethod
    def _receive(self) -> None:
        """Hand on what arrives, until told to stop; runs in the thread."""

    @abc.abstractmethod
    def _begin_stop(self) -> None:
        """Have the thread end, if it was ever begun; never waits."""

    def is_thread(self, thread: threading.Thread) -> bool:
        """Whether this is the thread that receives."""
        return thread is self._thread

    def stop(self, timeout: float = _STOP_SECONDS) -> None:
        """End the receiving; it may be waiting for room in a consumer's queue.

        Args:
            timeout: longest wait for the end, seconds; the thread itself does not wait.
        """
        self._begin_stop()
        if self._thread is not threading.current_thread():
            self.wait_stopped(time.monotonic() + timeout)

    def wait_stopped(self, deadline: float) -> None:
        """Wait for the thread to end, until a time of ``time.monotonic()``."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, deadline - time.monotonic()))


class ZmqSource(Source):
    """Hands what arrives to a dispatcher.

    Args:
        context: the zmq context.
        endpoints: addresses to connect to, or to bind as they are written.
        options: of the SUB sockets.
        bind: bind instead of connecting.
        dispatcher: takes the bursts.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoints: Sequence[str],
        options: Iterable[tuple[int, int]],
        bind: bool,
        dispatcher: Dispatcher,
    ) -> None:
        super().__init__("fedmsg-hub-source")
        self._context, self._endpoints, self._options = context, endpoints, tuple(options)
        self._bind, self._dispatcher = bind, dispatcher
        self._subscriber: Subscriber | None = None

    def start(self, topics: Iterable[bytes]) -> None:
        """Open the sockets and begin to receive.

        Args:
            topics: prefixes to subscribe to.

        Raises:
            NoEndpointAvailable: an address cannot be bound.
            ConfigurationError: an address to bind is malformed or does not resolve.
        """
        endpoints = addresses.literal(self._endpoints) if self._bind else self._endpoints
        pairs = [("zmq_subscribe_endpoints", each) for each in dict.fromkeys(endpoints)]
        bind = (lambda address: address.text) if self._bind else None
        try:
            self._subscriber = Subscriber(self._context, pairs, topics, self._options, bind)
        except zmq.ZMQError as error:
            raise NoEndpointAvailable(
                f"cannot listen on {', '.join(endpoints)} (zmq_subscribe_endpoints): {error}"
            ) from error
        self._thread.start()

    def change(self, before: Iterable[bytes], after: Iterable[bytes]) -> None:
        """Subscribe to other prefixes; from any thread."""
        if self._subscriber is None:
            return
        for topic in set(after) - set(before):
            self._subscriber.change(topic, True)
        for topic in set(before) - set(after):
            self._subscriber.change(topic, False)

    def _receive(self) -> None:
        assert self._subscriber is not None
        for _, endpoint, burst in self._subscriber.bursts():
            self._dispatcher.dispatch(burst, None if self._bind else endpoint)

    def _begin_stop(self) -> None:
        if self._subscriber is not None:
            self._subscriber.stop()
