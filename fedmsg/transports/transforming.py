"""Passing messages on changed: each goes through a function, side by side and yet in order."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from .._limits import RateLimit
from ..exceptions import FrameError
from .forwarder import _BURST, _NOBLOCK, Forwarder

_log = logging.getLogger("fedmsg.transports.forwarder")

Frames = Sequence[bytes]

#: Messages in hand for each thread, so that one that takes longer does not stop the others.
_PER_THREAD = 8


class _Place:
    """The place of a message in the order: what to send, or what went wrong; None until then."""

    def __init__(self) -> None:
        self.outcome: Frames | BaseException | None = None


class TransformingForwarder(Forwarder):
    """A forwarder that sends what a function makes of each message.

    One thread for each core does everything with a message, so that none waits for another to hand
    it over: it takes the message and its place in the order, calls the function, and sends what is
    ready in front.  The sockets change threads under a lock, as libzmq demands (zmq_socket(3)).  A
    message for which the function raises is dropped, counted and logged.

    Args:
        transform: given the frames of a message, returns those to send; called in several threads
            at once.
        arguments: those of :class:`Forwarder`.
    """

    def __init__(self, transform: Callable[[Frames], Frames], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._transform = transform
        self._drop_limit = RateLimit(60)
        self._threads = os.cpu_count() or 1
        self._most = _PER_THREAD * self._threads
        self._order: deque[_Place] = deque()
        self._receiving = threading.Lock()
        self._ended = False
        #: Whoever has it may send; it is notified when there is room in the order again.
        self._sending = threading.Condition(threading.Lock())
        self._burst = 0

    @property
    def _uses_proxy(self) -> bool:
        return False

    @property
    def pending(self) -> int:
        """Messages in hand."""
        return len(self._order)

    def _loop(self) -> None:
        self._together(self._wait_for_message)

    def _move(self, limit: int) -> int:
        """Forward up to ``limit`` messages that are here; return how many there were."""
        before, self._burst = self._moved, limit
        self._together(self._message_here)
        return self._moved - before

    def _wait_for_message(self) -> list[bytes] | None:
        """Return the next message; None when told to stop."""
        while True:
            frames = self._message_here()
            if frames is not None:
                return frames
            if self._is_stopped():
                return None
            self._burst = _BURST

    def _message_here(self) -> list[bytes] | None:
        if self._burst > 0:
            try:
                frames = self._sub.recv_multipart(_NOBLOCK)
            except zmq.Again:
                return None
            self._burst -= 1
            return frames
        return None

    def _together(self, receive: Callable[[], list[bytes] | None]) -> None:
        """Have all threads work until ``receive`` returns None.

        Raises:
            whatever a socket raises in one of them.
        """
        self._ended, failures = False, []

        def work() -> None:
            try:
                while self._forward_one(receive):
                    pass
            except BaseException as error:
                self._ended = True
                failures.append(error)

        helpers = [
            threading.Thread(target=work, name=f"fedmsg-transform-{number}", daemon=True)
            for number in range(1, self._threads)
        ]
        for helper in helpers:
            helper.start()
        work()
        for helper in helpers:
            helper.join()
        if failures:
            raise failures[0]

    def _forward_one(self, receive: Callable[[], list[bytes] | None]) -> bool:
        with self._receiving:
            frames = None if self._ended else receive()
            if frames is None:
                self._ended = True
                return False
            if len(self._order) >= self._most:
                with self._sending:
                    self._sending.wait_for(lambda: len(self._order) < self._most)
            place = _Place()
            self._order.append(place)
        try:
            place.outcome = self._transform(frames)
        except BaseException as error:  # noqa: BLE001  whatever a message causes, the others go on
            place.outcome = error
        with self._sending:
            self._send_ready()
        return True

    def _send_ready(self) -> None:
        """Send what is ready in front; only one thread at a time."""
        while self._order and (outcome := self._order[0].outcome) is not None:
            self._moved += 1
            try:
                if isinstance(outcome, BaseException):
                    raise outcome
                self._out.transmit(outcome)
            except BaseException as error:  # noqa: BLE001  as above
                self._drop(error)
            self._order.popleft()
            self._sending.notify()

    def _drop(self, error: BaseException) -> None:
        reason = error.reason if isinstance(error, FrameError) else type(error).__name__
        self.dropped_by[reason] += 1
        if self._drop_limit.allow():
            total = sum(self.dropped_by.values())
            _log.error("dropped a message: %s; dropped so far: %d", error, total)
