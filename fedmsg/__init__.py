"""Federated message bus: services announce what they do, others listen.

    >>> import fedmsg
    >>> fedmsg.publish(topic="build.complete", msg={"package": "kernel"})  # doctest: +SKIP

Every thread has a context of its own, made by :func:`init` or by the first call that needs it.
"""

from __future__ import annotations

import functools
import importlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

# Applications reach them from here: "as" says so to type checkers.
from . import config as config
from . import core as core
from . import encoding as encoding
from . import utils as utils
from .core import FedMsgContext as FedMsgContext
from .exceptions import AlreadyInitialized

__all__ = ["init", "send_message", "publish", "destroy", "tail_messages", "__local"]

__version__ = "1.2.0"

#: Holds the context of each thread, as the attribute ``__context``.
__local = threading.local()

#: Keywords of the latest explicit ``init``, and the state of the configuration they belong to.
_remembered: tuple[dict[str, Any], int] = ({}, 0)

_Function = TypeVar("_Function", bound=Callable[..., Any])


def __getattr__(name: str) -> Any:
    """Applications reach these from here as well; not every one pays for them."""
    if name in ("aio", "crypto", "meta", "replay", "testing"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _context() -> FedMsgContext | None:
    """Return this thread's context, None if there is none, or only one of the parent process."""
    context: FedMsgContext | None = getattr(__local, "__context", None)
    # Tests of applications put other objects there, which have no process.
    pid = getattr(context, "_pid", None)
    return None if isinstance(pid, int) and pid != os.getpid() else context


def _start(kw: dict[str, Any]) -> FedMsgContext:
    context = FedMsgContext(**config.for_init(kw))
    setattr(__local, "__context", context)
    return context


def init(**kw: Any) -> FedMsgContext:
    """Make this thread's context.

    Args:
        kw: laid over the configuration files; they also serve threads that publish without
            calling ``init`` themselves.

    Raises:
        AlreadyInitialized: this thread has one; a ValueError.
        ConfigurationError: the configuration is wrong; a ValueError.
        NoEndpointAvailable: every endpoint of the name is taken; an OSError.
        MissingRelay: ``active``, and no address of a relay is configured; a KeyError.
    """
    present = _context()
    # One whose own destroy() was called is no obstacle.
    if present is not None and getattr(present, "context", present) is not None:
        raise AlreadyInitialized(
            "fedmsg already initialized in this thread: call fedmsg.destroy() before"
            " fedmsg.init(), or leave the second init out"
        )
    context = _start(kw)
    _remember(kw)
    return context


def _auto_init(kw: dict[str, Any]) -> FedMsgContext:
    """Make a context for a thread that did not call ``init``."""
    return _start({**_explicit(), **kw})


def _explicit() -> dict[str, Any]:
    """Return the keywords of the latest ``init``, unless the configuration has changed since."""
    explicit, invalidations = _remembered
    return explicit if invalidations == config.invalidations else {}


def _remember(kw: dict[str, Any]) -> None:
    global _remembered
    _remembered = (kw, config.invalidations)


def API_function(doc: str | None = None) -> Callable[[_Function], _Function]:
    """Decorate a function so that its first call makes this thread's context.

    Args:
        doc: the documentation of the decorated function.
    """

    def decorate(function: _Function) -> _Function:
        code = function.__code__
        own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

        @functools.wraps(function)
        def wrapper(*args: Any, **kw: Any) -> Any:
            if _context() is None:
                _auto_init({key: value for key, value in kw.items() if key not in own})
            return function(*args, **kw)

        if doc is not None:
            wrapper.__doc__ = doc
        return wrapper  # type: ignore[return-value]

    return decorate


@API_function(doc=FedMsgContext.publish.__doc__)
def publish(topic: str | None = None, msg: Any = None, **kw: Any) -> None:
    return getattr(__local, "__context").publish(topic, msg, **kw)  # type: ignore[no-any-return]


send_message = publish


@API_function(doc=FedMsgContext.tail_messages.__doc__)
def tail_messages(**kw: Any) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    return getattr(__local, "__context").tail_messages(**kw)  # type: ignore[no-any-return]


def destroy(**kw: Any) -> None:
    context = _context()
    if hasattr(__local, "__context"):
        delattr(__local, "__context")
    if context is not None:
        context.destroy()


destroy.__doc__ = FedMsgContext.destroy.__doc__
