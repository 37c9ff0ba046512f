"""``FedMsgContext`` for one event loop: a ``fedmsg.core.FedMsgContext`` that never blocks it."""

from __future__ import annotations

import asyncio
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

from .. import core, utils
from ..exceptions import NoPublisher
from ._tail import TailMessages
from ._worker import DESTROYED, Worker


class FedMsgContext:
    """What the tasks of one event loop publish and receive with.

    It is opened by ``async with``, by ``await``, or by the first call that needs it.  What may wait
    (for a relay, a broker, a store, the signer) is done in a thread, in the order of the calls.

    Args:
        config: the configuration, as keywords; see :class:`fedmsg.core.FedMsgContext`.

    Attributes:
        ended: it was destroyed, or opened in vain: another one is needed.
    """

    def __init__(self, **config: Any) -> None:
        self._setup(lambda: config, utils.guess_calling_module())

    @classmethod
    def lazily(cls, load: Callable[[], dict[str, Any]], module: str | None) -> FedMsgContext:
        """Return a context whose configuration is loaded, in a thread, when it is opened.

        Args:
            load: returns the configuration.
            module: names what publishes, if the configuration does not.
        """
        self = object.__new__(cls)
        self._setup(load, module)
        return self

    def _setup(self, load: Callable[[], dict[str, Any]], module: str | None) -> None:
        self._load, self._module = load, module
        self._core: core.FedMsgContext | None = None
        self._opening: asyncio.Future[core.FedMsgContext] | None = None
        self._ending: asyncio.Future[None] | None = None
        self.ended = False
        self._worker = Worker()
        self._tails: weakref.WeakSet[TailMessages] = weakref.WeakSet()

    # -- beginning and end -------------------------------------------------------------------

    async def open(self) -> core.FedMsgContext:
        """Make sockets, and wait as long as the configuration says; return what was made.

        Raises:
            NoPublisher: it was destroyed.
            KeyError, OSError, ValueError: see :class:`fedmsg.core.FedMsgContext`.
        """
        if self._core is not None:
            return self._core
        if self._opening is None:
            if self.ended:
                raise NoPublisher(DESTROYED)
            self._opening = self._worker.begin(self._make)
            self._opening.add_done_callback(self._opened)
        # One of several tasks that wait may be cancelled without the others.
        return await asyncio.shield(self._opening)

    def _opened(self, opening: asyncio.Future[core.FedMsgContext]) -> None:
        if opening.cancelled() or opening.exception() is not None:
            self.ended = True
            self._worker.end()

    def _make(self) -> core.FedMsgContext:
        config = dict(self._load())
        if not config.get("active") and not config.get("name"):
            config["name"] = core.name_for(self._module)
        self._core = core.FedMsgContext(**config)
        return self._core

    async def destroy(self) -> None:
        """Deliver what is queued, within ``zmq_linger``, and close everything; idempotent.

        Tasks that wait for messages see the end of their iteration.  It is completed in the
        background if this is cancelled.
        """
        tails = list(self._tails)
        for tail in tails:
            tail.stop()
        try:
            for tail in tails:
                await tail.aclose()
        finally:
            if not self.ended:
                self.ended = True
                self._ending = self._worker.begin(self._end)
                self._worker.end()
            if self._ending is not None:
                await asyncio.shield(self._ending)

    def _end(self) -> None:
        if self._core is not None:
            self._core.destroy()

    def __await__(self) -> Generator[Any, None, FedMsgContext]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> FedMsgContext:
        try:
            await self.open()
        except BaseException:
            # Nobody will have it to destroy it.
            await self.destroy()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.destroy()

    # -- publishing --------------------------------------------------------------------------

    def publish(
        self,
        topic: str | None = None,
        msg: Any = None,
        modname: str | None = None,
        pre_fire_hook: Callable[[dict[str, Any]], Any] | None = None,
        **kw: Any,
    ) -> Coroutine[Any, Any, None]:
        """Send a message; see :meth:`fedmsg.core.FedMsgContext.publish`.

        Cancelled, it is sent completely or not at all.  This is no coroutine function: the name
        of the calling module has to be found out before a task begins.

        Args:
            topic: what happened.
            msg: the payload.
            modname: the module part of the topic; default: the name of the calling module.
            pre_fire_hook: called with the finished message before it leaves, perhaps in a thread.
            kw: ignored.

        Raises:
            TypeError, OSError, KeyError, ValueError, AttributeError: as there, when awaited.
        """
        modname = modname or utils.guess_calling_module(default="fedmsg")
        return self._publish(topic, msg, modname, pre_fire_hook)

    async def _publish(self, topic: Any, msg: Any, modname: Any, hook: Any) -> None:
        opened = await self.open()
        send = partial(opened.publish, topic, msg, modname, hook)
        if opened.may_wait and not self.ended:
            await self._worker.call(send)
            return
        # The others' turn; cancelled there, nothing has been sent.
        await asyncio.sleep(0)
        send()

    async def flush(self, timeout: float = 1.0) -> int:
        """Wait up to ``timeout`` seconds for held messages to leave; return how many remain."""
        opened = await self.open()
        return 0 if self.ended else await self._worker.call(partial(opened.flush, timeout))

    # -- receiving ---------------------------------------------------------------------------

    def tail_messages(self, topic: str = "", passive: bool = False, **kw: Any) -> TailMessages:
        """Return an asynchronous iterator over ``(name, endpoint, topic, message)``.

        It does what :meth:`fedmsg.core.FedMsgContext.tail_messages` does.  Nothing is connected
        before the first message is asked for.

        Args:
            topic: prefix of the topics wanted; there are no wildcards.
            passive: bind the endpoints instead of connecting to them.
            kw: ignored.

        Raises:
            ValueError, BrokerRefused, KeyError: as there, while iterating.
        """
        tail = TailMessages(self, topic, passive)
        self._tails.add(tail)
        return tail

    # -- what is known -----------------------------------------------------------------------

    @property
    def c(self) -> dict[str, Any]:
        """The configuration; empty until it is opened."""
        return {} if self._core is None else self._core.c

    @property
    def rejected(self) -> Counter[str]:
        """Received messages that were dropped, counted by reason."""
        return Counter() if self._core is None else self._core.rejected

    @property
    def replayed(self) -> Counter[str]:
        """What gap recovery did, counted."""
        return Counter() if self._core is None else self._core.replayed

    @property
    def overflows(self) -> int:
        """Occasions at which a full queue lost messages."""
        return 0 if self._core is None else self._core.overflows

    @property
    def undelivered(self) -> int:
        """Messages that were accepted by :meth:`publish` and then given up."""
        return 0 if self._core is None else self._core.undelivered
