"""Where contexts send while a test looks: one place for all of them, whoever made them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import fedmsg

from .. import core, transports
from ..exceptions import NoPublisher
from ..transports import Transport

#: Where messages go now: the innermost of the tests' context managers.
_sinks: list[Transport] = []
_lock = threading.Lock()


class _Redirect(Transport):
    """Sends to the innermost sink; without one, as the configuration of its context says.

    Contexts of other threads outlive a test, and must be of use to the next one.
    """

    def __init__(self, make: Callable[[], Transport | None], real: Transport | None = None) -> None:
        self._make, self.real = make, real

    def open(self) -> None:
        """Nothing is opened before something leaves the process."""

    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """See :meth:`Transport.send`.

        Raises:
            NoPublisher: nobody captures messages any more, and the context cannot send.
        """
        sink = _sinks[-1] if _sinks else self._opened()
        sink.send(topic, body, msg_id)

    def _opened(self) -> Transport:
        if self.real is None:
            made = self._make()
            if made is None:
                raise NoPublisher(
                    "this context was made while a test captured messages, and its configuration"
                    " has no address to publish at; call fedmsg.destroy() and fedmsg.init(...)"
                )
            made.open()
            self.real = made
        return self.real

    def flush(self, timeout: float) -> int:
        """See :meth:`Transport.flush`."""
        return 0 if self.real is None else self.real.flush(timeout)

    def before_fork(self) -> None:
        """See :meth:`Transport.before_fork`."""
        if self.real is not None:
            self.real.before_fork()

    def close(self, linger: float = 1.0) -> None:
        """See :meth:`Transport.close`."""
        if self.real is not None:
            self.real.close(linger)


def is_redirected() -> bool:
    """Return whether some test looks at present."""
    return bool(_sinks)


@contextlib.contextmanager
def redirected(sink: Transport) -> Iterator[None]:
    """Send what any context of this process publishes to ``sink``, until the end of the block.

    Contexts that exist are changed back at the end; the one that this thread gets meanwhile is
    destroyed then.
    """
    fresh = fedmsg._context() is None
    with _lock, contextlib.ExitStack() as stack:
        stack.enter_context(_patched(sink))
        _sinks.append(sink)
        cleanup = stack.pop_all()
    try:
        yield
    finally:
        with _lock:
            _sinks.remove(sink)
            cleanup.close()
        if fresh:
            fedmsg.destroy()


@contextlib.contextmanager
def _patched(sink: Transport) -> Iterator[None]:
    """Have contexts use a :class:`_Redirect`; the sink's own does not."""
    choose = transports.choose
    if _sinks:  # the outermost has done it
        yield
        return

    def instead(config: Any, context: Any) -> Transport | None:
        return None if config.get("mute") else _Redirect(lambda: choose(config, context))

    changed: list[tuple[core.FedMsgContext, Transport | None]] = []
    for context in list(core._live):
        real = context._transport
        if real is not sink and not isinstance(real, _Redirect) and not context.c.get("mute"):
            context._transport = _Redirect(lambda: None, real)
            changed.append((context, real))
    transports.choose = instead
    try:
        yield
    finally:
        transports.choose = choose
        for context, real in changed:
            if context.context is not None:
                context._transport = real
