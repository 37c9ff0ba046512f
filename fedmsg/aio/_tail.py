"""Receiving as an asynchronous iterator: the generator of ``fedmsg.core``, driven by a loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import zmq
import zmq.asyncio

from ..transports.subscriber import Subscriber
from ._worker import Worker

if TYPE_CHECKING:
    from .._tail import Message, Tailing
    from ._context import FedMsgContext

#: Messages taken before the loop's other tasks get their turn.
_BATCH = 100


class TailMessages(AsyncIterator["Message"]):
    """What ``tail_messages`` returns: an asynchronous iterator, and context manager.

    A cancelled wait for the next message loses nothing: iterating can go on.  Several tasks may
    share one; every message goes to one of them.
    """

    def __init__(self, owner: FedMsgContext, topic: str, passive: bool) -> None:
        self._owner, self._topic, self._passive = owner, topic, passive
        self._tailing: Tailing | None = None
        self._generator: Any = None
        self._worker: Worker | None = None
        self._batch = _BATCH
        self._lock = asyncio.Lock()
        self._ready: deque[Message] = deque()
        self._news = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._step: asyncio.Future[None] | None = None
        self._closing: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._exhausted = self._stopped = self._over = False

    def __aiter__(self) -> TailMessages:
        return self

    async def __anext__(self) -> Message:
        """Return the next message.

        Raises:
            StopAsyncIteration: this was closed, or its context destroyed.
            ValueError, BrokerRefused, KeyError: see :meth:`FedMsgContext.tail_messages`.
        """
        async with self._lock:
            while not self._stopped:
                if self._ready:
                    return self._ready.popleft()
                if self._error is not None:
                    error, self._error = self._error, None
                    raise error
                if self._over:
                    break
                await self._advance()
            raise StopAsyncIteration

    async def _advance(self) -> None:
        """Get messages, or find out that there are none; cancelled, it is continued later."""
        if self._tailing is None:
            await self._start()
            return
        if self._step is None:
            if self._exhausted:
                await self._wait(self._tailing)
            if self._worker is None:
                # The others' turn, before anything has been taken.
                await asyncio.sleep(0)
                self._collect()
                return
            self._step = self._worker.begin(self._collect)
            self._step.add_done_callback(lambda _: self._news.set())
        # The first message is handed out while the thread waits for the next, perhaps for long.
        await self._news.wait()
        self._news.clear()
        if self._step.done():
            self._step = None

    async def _start(self) -> None:
        core = await self._owner.open()
        self._loop = asyncio.get_running_loop()
        brokered = not core.c.get("zmq_enabled", True)
        # These may wait for somebody: a store, a revocation list, a broker.
        if brokered or core.c.get("validate_signatures") or core.c.get("replay_endpoints"):
            self._worker = Worker()
        if brokered:
            self._batch = 1
        self._tailing = core.tailing(self._topic, self._passive, blocking=False)
        self._generator = self._tailing.start()

    def _collect(self) -> None:
        """Take what is there, in the thread of the worker if there is one."""
        self._exhausted = False
        try:
            for message in self._generator:
                if message is None:
                    self._exhausted = True
                    return
                self._ready.append(message)
                if self._worker is not None and len(self._ready) == 1:
                    self._tell()
                if len(self._ready) >= self._batch:
                    return
            self._over = True
        except Exception as error:
            # What came before it is delivered first.
            self._error, self._over = error, True

    def _tell(self) -> None:
        """From the thread: there is a message."""
        assert self._loop is not None
        # Closed: nobody waits there any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._news.set)

    async def _wait(self, tailing: Tailing) -> None:
        """Wait for a zmq socket to be readable, or for something else that is due."""
        subscriber = tailing.subscriber
        assert isinstance(subscriber, Subscriber)
        number = subscriber.fileno()
        if number < 0:
            return
        poller = zmq.asyncio.Poller()
        poller.register(number, zmq.POLLIN)
        due = subscriber.due
        await poller.poll(-1 if due is None else max(1, math.ceil(due * 1000)))

    def stop(self) -> None:
        """End the iteration: tasks that wait are woken.  What was not handed out is dropped."""
        self._stopped = True
        self._ready.clear()
        if self._tailing is not None and self._tailing.subscriber is not None:
            self._tailing.subscriber.stop()

    async def aclose(self) -> None:
        """End the iteration and close the sockets; idempotent."""
        self.stop()
        async with self._lock:
            if self._step is not None:
                await asyncio.shield(self._step)
                self._step = None
            self._ready.clear()
            if self._generator is None:
                return
            if self._worker is None:
                self._generator.close()
                return
            if self._closing is None:
                self._closing = self._worker.begin(self._generator.close)
                self._worker.end()
            await asyncio.shield(self._closing)

    async def __aenter__(self) -> TailMessages:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()
