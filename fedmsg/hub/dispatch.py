"""From what arrives to who wants it: topic patterns and the calls they lead to.

Specification: consumers.md 5, hub.md 4.  No sockets here.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from .. import envelope
from .._limits import RateLimit
from ..consumers.message import BusMessage
from ..consumers.values import prefix_of
from ..exceptions import FrameError

_log = logging.getLogger("moksha.hub")

Frames = list[bytes]
Callback = Callable[[Any], Any]


def prefix(pattern: str) -> bytes:
    """Return what ZeroMQ can subscribe to for a topic pattern."""
    return prefix_of(pattern).encode("utf-8")


class Route:
    """One receiver, and the patterns of its topics.

    A message that several patterns match is delivered once.

    Args:
        callback: called with a message object; or the bound method of a consumer that takes
            batches, which is then handed over frames.
        strict: topics must be equal to a pattern, and not just begin with it.
        reject: called with a reason and the frames of a message that is not text.
    """

    def __init__(
        self, callback: Callback, strict: bool, reject: Callable[[str, Frames], None]
    ) -> None:
        self.callback, self._strict, self._reject = callback, strict, reject
        self.patterns: list[str] = []
        self._prefixes: tuple[bytes, ...] = ()
        owner: Any = getattr(callback, "__self__", None)
        self._take = owner.take if getattr(owner, "takes_batches", False) is True else None

    def add(self, pattern: str) -> None:
        """Match one more pattern.

        Raises:
            UnicodeEncodeError: UTF-8 cannot express it; nothing is changed.
        """
        self._prefixes = (*self._prefixes, prefix(pattern))
        self.patterns.append(pattern)

    def select(self, burst: list[Frames]) -> list[Frames]:
        """Return the messages of a burst that this receiver wants."""
        if self._strict:
            return [frames for frames in burst if frames[0] in self._prefixes]
        if b"" in self._prefixes:
            return burst
        return [frames for frames in burst if frames[0].startswith(self._prefixes)]

    def deliver(self, burst: list[Frames]) -> None:
        """Hand over messages; what a receiver raises is logged, and the others get theirs."""
        if self._take is not None:
            self._call(self._take, burst)
            return
        for frames in burst:
            try:
                message = BusMessage(frames[0].decode("utf-8"), frames[1].decode("utf-8"))
            except UnicodeDecodeError:
                self._reject(envelope.BAD_BODY_UTF8, frames)
                continue
            self._call(self.callback, message)

    def _call(self, receiver: Callback, message: Any) -> None:
        try:
            receiver(message)
        except BaseException:  # SystemExit too: this is not the receiver's thread to end
            _log.exception("%r failed on a message", receiver)


class Dispatcher:
    """Hands what arrives to every receiver that wants it.

    Args:
        strict: ``zmq_strict``.
        max_size: a larger frame is dropped, bytes; 0 is any size.

    Attributes:
        rejected: messages dropped, counted by reason.
        received: messages that were accepted.
        origin: the endpoint from which the burst came that is being delivered, None if unknown.
    """

    def __init__(self, strict: bool = False, max_size: int = 0) -> None:
        self.rejected: Counter[str] = Counter()
        self.received = 0
        self.origin: str | None = None
        self._strict, self._max_size = strict, max_size
        self._routes: dict[Callback, Route] = {}
        self._lock = threading.Lock()
        self._limit = RateLimit(60)

    def subscribe(self, pattern: str, callback: Callback) -> None:
        """Deliver what matches a pattern to a receiver, too.

        Raises:
            UnicodeEncodeError: UTF-8 cannot express the pattern; nothing is changed.
        """
        with self._lock:
            route = self._routes.get(callback) or Route(callback, self._strict, self._reject)
            route.add(pattern)
            # A copy: bursts are dispatched in another thread.
            self._routes = {**self._routes, callback: route}

    def unsubscribe(self, callback: Callback) -> None:
        """Deliver nothing to a receiver any more."""
        with self._lock:
            self._routes = {key: route for key, route in self._routes.items() if key != callback}

    def callbacks(self) -> list[Callback]:
        """Return all receivers."""
        return list(self._routes)

    def prefixes(self) -> list[bytes]:
        """Return what a source has to subscribe to for all receivers."""
        found = {prefix(each) for route in self._routes.values() for each in route.patterns}
        return [b""] if b"" in found else sorted(found)

    def dispatch(self, burst: Iterable[Frames], origin: str | None = None) -> None:
        """Deliver the messages of a burst; nothing in them can raise.

        Args:
            burst: of two frames each.
            origin: the endpoint that they came from.
        """
        self.origin = origin
        accepted = self._acceptable(burst)
        self.received += len(accepted)
        for route in self._routes.values():
            chosen = route.select(accepted)
            if chosen:
                route.deliver(chosen)

    def _acceptable(self, burst: Iterable[Frames]) -> list[Frames]:
        most = self._max_size
        accepted = []
        for frames in burst:
            if len(frames) == 1:  # the form of old publishers
                frames = frames[0].split(b"\0", 1)
            try:  # control characters too: consumers write topics into logs
                envelope.topic_of(frames, most)
            except FrameError as error:
                self._reject(error.reason, frames)
            else:
                accepted.append(frames)
        return accepted

    def _reject(self, reason: str, frames: Frames) -> None:
        self.rejected[reason] += 1
        if self._limit.allow():
            _log.warning(
                "dropped a message: %s; it begins with %a; dropped so far: %d",
                reason, frames[0][:200] if frames else b"", sum(self.rejected.values()),
            )  # fmt: skip
