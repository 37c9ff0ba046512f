"""What tests of fedmsg.aio share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from parts import PATIENCE

_T = TypeVar("_T")


async def begun(what: Awaitable[_T]) -> asyncio.Task[_T]:
    """Return a task that waits for something, as far as that comes without waiting."""
    started = asyncio.Event()

    async def body() -> _T:
        started.set()
        return await what

    task = asyncio.create_task(body())
    await started.wait()
    return task


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns, in a loop of its own; it has a deadline."""

    async def bounded() -> _T:
        return await asyncio.wait_for(main, PATIENCE)

    return asyncio.run(bounded())
