"""What tests of fedmsg.aio share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from parts import PATIENCE, settings

from fedmsg import aio

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


def listening(endpoint: Any, **changes: Any) -> aio.FedMsgContext:
    """Return a context that listens to one publisher, or to a dict of them."""
    endpoints = endpoint if isinstance(endpoint, dict) else {"me": endpoint}
    return aio.FedMsgContext(**settings(mute=True, endpoints=endpoints, **changes))


def frames(topic: str, **message: Any) -> list[bytes]:
    """Return a message as it arrives."""
    return [topic.encode(), json.dumps({"topic": topic, **message}).encode()]


async def joined(there: Any, tail: aio.TailMessages) -> asyncio.Task[Any]:
    """Begin to iterate, and wait for the subscription to arrive; return the task."""
    task: asyncio.Task[Any] = asyncio.create_task(anext(tail))
    await asyncio.to_thread(there.joined)
    return task
