"""Passing messages on changed: each goes through a function in a pool of threads, in order."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import zmq

from .._limits import RateLimit
from ..exceptions import FrameError
from .forwarder import _NOBLOCK, Forwarder

_log = logging.getLogger("fedmsg.transports.forwarder")

Frames = Sequence[bytes]

#: Messages in the pool for each of its threads: none waits for work, and little is held.
_PER_THREAD = 8


class TransformingForwarder(Forwarder):
    """A forwarder that sends what a function makes of each message.

    The forwarder's thread receives and hands over to the pool; another one waits for the results
    in the order in which the messages came, and sends them.  A message for which the function
    raises is dropped, counted and logged.

    Args:
        transform: given the frames of a message, returns those to send; called in several threads
            at once.
        arguments: those of :class:`Forwarder`.
    """

    def __init__(self, transform: Callable[[Frames], Frames], *arguments: Any) -> None:
        super().__init__(*arguments)
        self._transform = transform
        self._drop_limit = RateLimit(60)
        threads = os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="fedmsg-transform")
        self._pending: queue.Queue[Future[Frames] | None] = queue.Queue(_PER_THREAD * threads)
        self._sender = threading.Thread(target=self._send_all, name="fedmsg-transform-sender")

    def start(self) -> None:
        """Begin to forward."""
        self._sender.start()
        super().start()

    @property
    def _uses_proxy(self) -> bool:
        return False

    @property
    def pending(self) -> int:
        """Messages in hand."""
        return self._pending.qsize()

    def _move(self, limit: int) -> int:
        """Take up to ``limit`` messages that are here; return how many there were."""
        moved = 0
        try:
            while moved < limit:
                frames = self._sub.recv_multipart(_NOBLOCK)
                self._pending.put(self._pool.submit(self._transform, frames))
                moved += 1
        except zmq.Again:
            pass
        return moved

    def _send_all(self) -> None:
        """In a thread of its own: send the results, up to the None that ends them."""
        for result in iter(self._pending.get, None):
            self._moved += 1
            try:
                self._out.transmit(result.result())
            except Exception as error:  # noqa: BLE001  whatever a message causes, the others go on
                reason = error.reason if isinstance(error, FrameError) else type(error).__name__
                self.dropped_by[reason] += 1
                if self._drop_limit.allow():
                    _log.error(
                        "dropped a message: %s; dropped so far: %d",
                        error, sum(self.dropped_by.values()),
                    )  # fmt: skip

    def _close(self) -> None:
        if self._sender.ident is not None:
            self._pending.put(None)
            self._sender.join()
        self._pool.shutdown()
        super()._close()
