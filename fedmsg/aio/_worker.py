"""What may wait is done in a thread, one call after another."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from ..exceptions import NoPublisher

_T = TypeVar("_T")
_Call = tuple["Future[Any]", Callable[[], Any], Callable[[], None]]

DESTROYED = "this context has been destroyed; make another, or call init() again"
#: Calls that may wait for the thread at a time; whoever has one more waits in the loop.
_LIMIT = 1000


class Worker:
    """A thread that coroutines of one loop give work to; it ends with this object.

    The thread is a daemon: a broker that does not answer must not keep a process from ending,
    which a ``ThreadPoolExecutor`` would.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_LIMIT)
        self._started = False
        self._end = weakref.finalize(self, self._calls.put, None)
        self._end.atexit = False

    async def call(self, function: Callable[[], _T]) -> _T:
        """Return what a function returns; one that has not begun when this is cancelled does not.

        Raises:
            NoPublisher: the thread has been told to end.
            BaseException: what the function raised.
        """
        await self._room.acquire()
        loop = asyncio.get_running_loop()

        def release() -> None:
            # Closed: nobody waits there any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._room.release)

        return await asyncio.wrap_future(self._submit(function, release))

    def begin(self, function: Callable[[], _T]) -> asyncio.Future[_T]:
        """Have a function called in any case; the caller shields what is returned."""
        return asyncio.wrap_future(self._submit(function, lambda: None))

    def _submit(self, function: Callable[[], _T], release: Callable[[], None]) -> Future[_T]:
        if not self._end.alive:
            raise NoPublisher(DESTROYED)
        if not self._started:
            self._started = True
            thread = threading.Thread(
                target=_work, args=(self._calls,), name="fedmsg-aio", daemon=True
            )
            thread.start()
        future: Future[_T] = Future()
        self._calls.put((future, function, release))
        return future

    def end(self) -> None:
        """Let the thread end when it has done what it was given; idempotent."""
        self._end()


def _work(calls: queue.SimpleQueue[_Call | None]) -> None:
    while (call := calls.get()) is not None:
        future, function, release = call
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001  raised where it is awaited
                future.set_exception(error)
        release()
        # What was called must not live until the next call.
        del call, future, function, release
