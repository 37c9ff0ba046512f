"""fedmsg for asyncio: the same functions, to be awaited.

    >>> from fedmsg import aio
    >>> await aio.publish(topic="build.complete", msg={"package": "kernel"})  # doctest: +SKIP
    >>> async for name, endpoint, topic, message in aio.tail_messages():  # doctest: +SKIP
    ...     print(topic)

Every event loop has a context of its own, made by :func:`init` or by the first call that needs it.
Decisions are those of :mod:`fedmsg.core`; the loop waits by means of ``zmq.asyncio``.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import fedmsg

from .. import config, utils
from ..exceptions import AlreadyInitialized
from ._context import FedMsgContext
from ._tail import TailMessages

__all__ = ["FedMsgContext", "TailMessages", "destroy", "init", "publish", "tail_messages"]

#: The context of each loop.
_contexts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, FedMsgContext] = (
    weakref.WeakKeyDictionary()
)


def init(**kw: Any) -> Coroutine[Any, Any, FedMsgContext]:
    """Make the context of the running loop, and open it.

    Args:
        kw: laid over the configuration files; as those of :func:`fedmsg.init` they also serve
            threads and loops that publish without a call of ``init``.

    Raises:
        AlreadyInitialized: this loop has one; a ValueError.
        ConfigurationError, NoEndpointAvailable, MissingRelay: see :func:`fedmsg.init`.
    """
    return _init(kw, utils.guess_calling_module())


async def _init(kw: dict[str, Any], module: str | None) -> FedMsgContext:
    loop = asyncio.get_running_loop()
    present = _contexts.get(loop)
    if present is not None and not present.ended:
        raise AlreadyInitialized(
            "fedmsg.aio already initialized in this event loop: await fedmsg.aio.destroy() before"
            " fedmsg.aio.init(), or leave the second init out"
        )
    context = _new(lambda: config.for_init(kw), module)
    try:
        await context.open()
    except BaseException:
        _contexts.pop(loop, None)
        await context.destroy()
        raise
    fedmsg._remember(kw)
    return context


def _new(load: Callable[[], dict[str, Any]], module: str | None) -> FedMsgContext:
    # One that was not destroyed with its loop is collected, and ends in the background.
    for loop in [each for each in list(_contexts) if each.is_closed()]:
        _contexts.pop(loop, None)
    context = FedMsgContext.lazily(load, module)
    _contexts[asyncio.get_running_loop()] = context
    return context


def _context(module: str | None) -> FedMsgContext:
    """Return the context of the running loop, perhaps one that is not open yet."""
    found = _contexts.get(asyncio.get_running_loop())
    if found is None or found.ended:
        found = _new(lambda: config.for_init(fedmsg._explicit()), module)
    return found


def publish(
    topic: str | None = None,
    msg: Any = None,
    modname: str | None = None,
    pre_fire_hook: Callable[[dict[str, Any]], Any] | None = None,
    **kw: Any,
) -> Coroutine[Any, Any, None]:
    """Send a message with the context of the running loop; see :meth:`FedMsgContext.publish`."""
    module = utils.guess_calling_module()
    return _publish(module, topic, msg, modname or module, pre_fire_hook)


async def _publish(module: str | None, *arguments: Any) -> None:
    await _context(module).publish(*arguments)


def tail_messages(topic: str = "", passive: bool = False, **kw: Any) -> TailMessages:
    """Return an asynchronous iterator over messages, as :meth:`FedMsgContext.tail_messages`.

    Raises:
        RuntimeError: no event loop runs in this thread.
    """
    return _context(utils.guess_calling_module()).tail_messages(topic, passive)


async def destroy() -> None:
    """Destroy the context of the running loop, if it has one; see :meth:`FedMsgContext.destroy`."""
    context = _contexts.pop(asyncio.get_running_loop(), None)
    if context is not None:
        await context.destroy()
