"""Gap recovery while listening: what ``tail_messages`` does with ``replay_endpoints``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from . import encoding, options, transports
from .exceptions import ValidationError
from .replay.watch import Watched

if TYPE_CHECKING:
    from .transports.subscriber import Subscriber

Message = tuple[str, str, str, dict[str, Any]]


class Gaps:
    """The watched publishers of one tail.

    Args:
        config: the configuration, with ``replay_endpoints``.
        accept: turns frames into topic and message, or raises ValidationError.
        reject: counts and reports what was not acceptable.
        counts: gets what :class:`~fedmsg.replay.watch.Watched` counts.
        prefix: beginning of the topics wanted; the store has all of them.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        accept: Callable[[Sequence[bytes]], tuple[str, dict[str, Any]]],
        reject: Callable[[ValidationError], None],
        counts: Counter[str],
        prefix: str = "",
    ) -> None:
        self._accept, self._reject, self._prefix = accept, reject, prefix
        self._interval = options.get(config, "replay_idle_check")
        self._watched = {
            name: Watched(name, config, counts=counts) for name in config["replay_endpoints"]
        }
        now = time.monotonic()
        self._heard = dict.fromkeys(self._watched, now)
        self._endpoints = {
            name: (transports.as_list(value) or [""])[0]
            for name, value in config["endpoints"].items()
        }

    def messages(
        self, subscriber: Subscriber, context: zmq.Context[Any]
    ) -> Iterator[Message | None]:
        """Yield what arrives, and what was missed, until the subscriber is stopped.

        None where a subscriber that is not ``blocking`` has to be waited for.
        """
        subscriber.idle = self._interval
        try:
            for name, endpoint, frames in subscriber.frames():
                if frames:
                    try:
                        topic, message = self._accept(frames)
                    except ValidationError as error:
                        self._reject(error)
                    else:
                        yield from self.arrived(name, endpoint, topic, message, context)
                if self._interval:
                    yield from self._check_idle(context)
                if not frames and not subscriber.blocking:
                    yield None
        except zmq.ContextTerminated:
            return

    def arrived(
        self, name: str, endpoint: str, topic: str, message: dict[str, Any], context: Any
    ) -> Iterator[Message]:
        """Yield what is to be delivered now that a valid message has arrived."""
        watched = self._watched.get(name)
        if watched is None:
            yield name, endpoint, topic, message
            return
        self._heard[name], self._endpoints[name] = time.monotonic(), endpoint
        for found in watched.arrived(message, context, self._accepts):
            if found is message:
                yield name, endpoint, topic, message
            else:
                yield from self._recovered(name, found)

    def _check_idle(self, context: zmq.Context[Any]) -> Iterator[Message]:
        for name, heard in list(self._heard.items()):
            if time.monotonic() - heard >= self._interval:
                for found in self._watched[name].idle(context, self._accepts):
                    yield from self._recovered(name, found)
                self._heard[name] = time.monotonic()

    def _recovered(self, name: str, message: dict[str, Any]) -> Iterator[Message]:
        topic = message["topic"]
        if topic.startswith(self._prefix):
            yield name, self._endpoints.get(name, ""), topic, message

    def _accepts(self, message: dict[str, Any]) -> bool:
        """Subject a message from a store to everything that one from the bus has to pass."""
        topic = message.get("topic")
        # "replace": the topic then differs from the message's own.
        raw = topic.encode("utf-8", "replace") if isinstance(topic, str) else b"\xff"
        try:
            self._accept((raw, encoding.dumps(message).encode("ascii")))
        except ValidationError as error:
            self._reject(error)
            return False
        return True
