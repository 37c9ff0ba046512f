"""From this bus to the broker: the position moves on when the broker has confirmed."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zmq

from .. import encoding, envelope, options, transports
from ..exceptions import FrameError
from ..transports.subscriber import Subscriber
from ..transports.zeromq import end_context
from . import far
from .checking import NOT_WANTED, Checker
from .forms import DOUBLE, Rejected
from .memory import Positions, Seen
from .near import Followed

_log = logging.getLogger("fedmsg.bridge")

#: A batch is sent when nothing has arrived for so long, or when it is so old; seconds.
_IDLE = 0.05
_BATCH_SECONDS = 0.2
_END_SECONDS = 2.0

LOOP = "came from the broker"


class Outward:
    """Carries messages to the broker, in a thread of its own.

    Args:
        config: the configuration.
        positions: where each publisher's position is kept.
        came_in: ids of what was put on this bus from the broker.
        sent: ids of what has been confirmed by the broker.

    Attributes:
        counts: ``received``, ``confirmed``, those of :class:`Followed`, and what was dropped, by
            reason.

    Raises:
        ConfigurationError, MissingDependency: the broker's settings are wrong.
    """

    def __init__(
        self, config: Mapping[str, Any], positions: Positions, came_in: Seen, sent: Seen
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._config, self._positions, self._came_in, self._sent = config, positions, came_in, sent
        self._checker = Checker(config, bool(config.get("validate_signatures")), self.counts)
        self._largest = options.get(config, "max_message_size")
        self._window = max(1, options.get(config, "bridge_window"))
        self._given_up = threading.Event()
        self._batch: list[far.Item] = []
        self._began = 0.0
        self._context: zmq.Context[Any] = zmq.Context(options.get(config, "io_threads"))
        self._followed = {
            name: Followed(name, config, positions.get(name), self._accepts, self.counts)
            for name in config.get("replay_endpoints") or {}
            if name in self._names()
        }
        self._outlet = far.outlet(config, options.get(config, "bridge_bus"), self.counts)
        self._subscriber = self._listen()

    def _names(self) -> list[str]:
        """Return the publishers to listen to: not the one under which bridges publish."""
        own = self._config.get("name")
        return [name for name in self._config.get("endpoints") or {} if name != own]

    def _listen(self) -> Subscriber:
        limit = max(1, options.get(self._config, "bridge_queue"))
        given = {**self._config, "high_water_mark": limit}
        endpoints = self._config.get("endpoints") or {}
        found = Subscriber(
            self._context,
            [
                (name, each)
                for name in self._names()
                for each in transports.as_list(endpoints[name])
            ],
            # Everything of a publisher that is followed: what is left out would be a gap.
            [b""]
            if self._followed
            else [prefix.encode("utf-8") for prefix in self._checker.prefixes],
            transports.subscriber_options(given),
        )
        found.idle = _IDLE
        return found

    def run(self) -> None:
        """Carry messages until :meth:`stop`; what is taken by then is still confirmed."""
        try:
            for name, _, frames in self._subscriber.frames():
                if frames:
                    self._arrived(name, frames)
                elif not self._batch:
                    self._outlet.idle()
                for followed in self._followed.values():
                    self._take_all(followed.look(self._context))
                if not frames or time.monotonic() - self._began > _BATCH_SECONDS:
                    self._deliver()
            self._deliver()
        finally:
            self._subscriber.close()
            self._outlet.close()
            end_context(self._context, _END_SECONDS)

    def _arrived(self, name: str, frames: Sequence[bytes]) -> None:
        self.counts["received"] += 1
        try:
            topic, message = envelope.decode(frames, self._largest)
        except FrameError as error:
            self._checker.reject(Rejected(error.reason), frames[0] if frames else b"")
            return
        verdict = self._accepts(message, topic)
        followed = self._followed.get(name)
        if verdict is False:
            return
        if followed is None:
            if verdict:
                self._take(message, frames[1])
            return
        for found in followed.arrived(message, self._context):
            if found is not message:
                self._take(found)
            elif verdict:
                self._take(message, frames[1])

    def _accepts(self, message: dict[str, Any], topic: str | None = None) -> bool | None:
        """Return whether a message may cross; None if it could, and its topic is not wanted.

        Args:
            message: from the bus or from a store.
            topic: that it came under; default: its own.
        """
        topic = message.get("topic") if topic is None else topic
        try:
            self._checker.check(topic, message)
        except Rejected as error:
            self._checker.reject(error, topic)
            return None if str(error) == NOT_WANTED else False
        return True

    def _take_all(self, messages: Iterator[dict[str, Any]]) -> None:
        for message in messages:
            self._take(message)

    def _take(self, message: dict[str, Any], body: bytes = b"") -> None:
        """Add a message to the batch, unless it came from the broker or has been there."""
        msg_id = message["msg_id"]
        if msg_id in self._came_in:
            self.counts[LOOP] += 1
        elif msg_id in self._sent:
            self.counts[DOUBLE] += 1
        else:
            if not self._batch:
                self._began = time.monotonic()
            body = body or encoding.dumps(message).encode("ascii")
            self._batch.append(far.Item(msg_id, message["topic"], body, message))
            if len(self._batch) >= self._window:
                self._deliver()

    def _deliver(self) -> None:
        """Send the batch; only when all of it is confirmed do the positions move on."""
        batch, self._batch = self._batch, []
        if batch and not self._outlet.deliver(batch, self._given_up):
            _log.error("%d messages are not confirmed by the broker at the end", len(batch))
            self._given_up.set()
            return
        for item in batch:
            self._sent.add(item.msg_id)
        if not self._given_up.is_set():
            self._positions.save(
                {
                    name: each.position
                    for name, each in self._followed.items()
                    if each.position is not None and each.position >= 0
                }
            )

    def stop(self, seconds: float) -> None:
        """Ask :meth:`run` to end, and to give up after so many seconds; from any thread."""
        timer = threading.Timer(seconds, self._given_up.set)
        timer.daemon = True
        timer.start()
        self._subscriber.stop()
