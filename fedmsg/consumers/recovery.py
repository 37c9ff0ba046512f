"""What a consumer missed of a publisher: fetched beside the hub, and queued in its place.

A hub's thread puts numbered messages into a room, and a thread of the consumer takes them from
there: so fetching holds up nobody else.  When the room is full, messages are left to the store, as
if they had been lost on the way.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import zmq

from .. import encoding, options, transports
from .._limits import RateLimit
from ..replay.tracker import Decision, seq_id_of
from ..replay.watch import Watched
from ..transports.zeromq import end_context
from .base import Consumer
from .message import BusMessage
from .position import INTERVAL, Position
from .receipt import Checked, enqueue
from .values import matcher

if TYPE_CHECKING:
    from . import FedmsgConsumer

_log = logging.getLogger("fedmsg.consumers")

#: Messages that wait for those before them; further ones are fetched when it is their turn.
ROOM = 10_000
#: Pause after an error that should not be, and longest wait for a request to end, seconds.
_PAUSE = 1.0
#: How often a queue without a limit is looked at while it is long, seconds.
_LOOK = 0.1

Body = dict[str, Any]


class Recovery:
    """Gap recovery for one consumer.

    Args:
        consumer: gets the messages; has a ``replay_name``.  Beside its ``status_filename`` its
            position is kept for the next start; without one, nowhere.
        config: the configuration.

    Attributes:
        queues: messages are to be handed to :meth:`take`.
        position: how far the consumer has got.
        left: messages that were left to the store because the room was full.

    Raises:
        OSError: a directory cannot be made.
    """

    def __init__(self, consumer: FedmsgConsumer, config: Mapping[str, Any]) -> None:
        self._consumer, self._config = consumer, config
        self._name, path = consumer.replay_name, consumer.status_filename
        self.position = Position(f"{path}.replay" if path else None, self._name)
        named = transports.as_list((config.get("endpoints") or {}).get(self._name))
        heard = [each.strip() for each in (config.get("zmq_subscribe_endpoints") or "").split(",")]
        #: Empty: it is not known where this publisher's messages come from.
        self._endpoints = [each for each in named if each in heard]
        self._interval = options.get(config, "replay_idle_check")
        waits = (INTERVAL, self._interval, options.get(config, "replay_timeout"))
        self._tick = min(wait for wait in waits if wait)
        self._room: deque[tuple[Any, Body]] = deque()
        self._changed = threading.Condition()
        self._turn = threading.RLock()
        self._current: tuple[Any, Body] | None = None
        self._accepted: tuple[Any, Body] | None = None
        self._begun = self._stopping = self._ended = self.queues = False
        self._heard, self.left = time.monotonic(), 0
        #: The store is to be asked for its last number.
        self._due = self.position.path is not None
        self._limit = RateLimit()

    def start(self) -> None:
        """Take messages from now on; :meth:`run` is about to run.  Idempotent."""
        with self._turn:
            if not self.queues:
                self._start()

    def _start(self) -> None:
        consumer, last = self._consumer, None
        if options.get(self._config, "backlog"):
            last = self.position.read()
        if last is None:
            last = int((consumer.name_to_seq_id or {}).get(self._name, -1))
        elif consumer.name_to_seq_id is not None:
            _log.info("%s goes on behind number %d of %s", _class(consumer), last, self._name)
        self._watched = Watched(self._name, self._config, last)
        self._matches = matcher(consumer)
        self._context: zmq.Context[Any] = zmq.Context(options.get(self._config, "io_threads"))
        self.queues = True

    @property
    def waiting(self) -> int:
        """Messages that wait for those before them."""
        return len(self._room)

    # -- in the thread of the hub --------------------------------------------------------------

    def concerns(self, body: Any) -> bool:
        """Whether a message that is just arriving has a number of the publisher."""
        if not isinstance(body, dict) or seq_id_of(body) is None:
            return False
        origin = getattr(self._consumer.hub, "origin", None)
        # Others may number their messages, too.
        return not isinstance(origin, str) or not self._endpoints or origin in self._endpoints

    def take(self, message: Any, body: Body) -> bool | None:
        """Take a valid message that has a number; never waits, except in blocking mode.

        Returns:
            In blocking mode what consuming it has returned; else None.
        """
        if self._consumer.blocking_mode:
            with self._turn:
                return self._arrived(message, body)
        with self._changed:
            if len(self._room) < ROOM:
                self._room.append((message, body))
                self._changed.notify()
                return None
            self.left += 1
            self._due = True
        if self._limit.allow():
            _log.warning(
                "%s is slower than its messages come: %d were left to the store of %s so far, and"
                " are fetched when it is their turn", _class(self._consumer), self.left, self._name,
            )  # fmt: skip
        return None

    # -- in a thread of its own ----------------------------------------------------------------

    def run(self) -> None:
        """Queue what arrives and what is missing, until :meth:`stop`."""
        with self._changed:
            if self._stopping:
                return
            self._begun = True
        self.start()
        try:
            if self._due:
                self._step(self._look)
            while not self._stopping:
                self._step(self._next)
        finally:
            self._finish()

    def _step(self, step: Any) -> None:
        try:
            step()
        except zmq.ContextTerminated:
            pass  # it is stopping
        except Exception:
            # Nothing that a message or a service says may end the thread.
            _log.exception("gap recovery of %s failed on a message", _class(self._consumer))
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, _PAUSE)

    def _next(self) -> None:
        """Handle one message, or the silence."""
        with self._changed:
            self._changed.wait_for(lambda: self._room or self._stopping, self._tick)
            if self._stopping:
                return
            self._current = self._room.popleft() if self._room else None
        if self._current is None:
            self._silence()
        else:
            with self._turn:
                self._arrived(*self._current)
                self._current = None

    def _silence(self) -> None:
        silent = time.monotonic() - self._heard
        if self._due or (self._interval and silent >= self._interval):
            self._heard = time.monotonic()
            self._look()
        else:
            with self._turn:
                self._pass_on(self._watched.late(self._context, self._accepts))
        self.position.save()

    def _look(self) -> None:
        """Ask the store for its last number, and for what is missing up to it."""
        self._due = False
        with self._turn:
            self._watched.looked = False
            self._pass_on(self._watched.idle(self._context, self._accepts))
        self._due = self._due or not self._watched.looked

    def _arrived(self, message: Any, body: Body) -> bool | None:
        self._heard = time.monotonic()
        found = self._watched.arrived(body, self._context, self._accepts)
        return self._pass_on(found, (message, body))

    def _pass_on(
        self, found: Iterator[Body], arrived: tuple[Any, Body] = (None, {})
    ) -> bool | None:
        """Queue messages in their order; in blocking mode return what the last one gave."""
        result = None
        for body in found:
            message = arrived[0] if body is arrived[1] else self._recovered(body)
            if message is not None:
                result = self._hand_over(message, body)
        self.position.passed(self._reached())
        if self._consumer.name_to_seq_id is not None:
            self._consumer.name_to_seq_id[self._name] = self._watched.tracker.last
        return result

    def _reached(self) -> int:
        """Return the number up to which nothing is missing that may still be got."""
        hole, last = self._watched.holes.lowest, self._watched.tracker.last
        return last if hole is None else min(last, hole[0] - 1)

    def _accepts(self, body: Body) -> bool:
        """Subject a message from the store to what one from the bus has to pass."""
        topic, self._accepted = body.get("topic"), None
        if isinstance(topic, str) and not self._matches(topic):
            return True  # not for this consumer, whatever it is
        message = _validated(self._consumer, body)
        self._accepted = message, body
        return message is not None

    def _recovered(self, body: Body) -> Any:
        """Return the envelope of what was accepted last; None if it is not for this consumer."""
        accepted = self._accepted
        return accepted[0] if accepted is not None and accepted[1] is body else None

    def _hand_over(self, message: Any, body: Body) -> bool | None:
        consumer = self._consumer
        receipt = self.position.begin(body["seq_id"], self._reached())
        if consumer.blocking_mode:
            result = consumer._queue(message)
            receipt.done(bool(result))
            return result
        try:
            message.receipt = receipt
        except AttributeError:  # an object of a class without room for it
            message = BusMessage(message.topic, message.body)
            message.checked, message.receipt = consumer, receipt
        with consumer._lock:
            consumer.headcount_in += 1
        while not consumer.incoming.maxsize and consumer.incoming.qsize() >= ROOM:
            if consumer._stopping.wait(_LOOK):  # without a limit of its own it has this one
                break
        accepted = enqueue(consumer.incoming, message, receipt, consumer._stopping)
        if not accepted and self.position.path is None:
            consumer.incoming.put(message)  # nobody would bring it again
        return None

    # -- the end -------------------------------------------------------------------------------

    def stop(self) -> bool:
        """Take no more; return whether the thread will end the workers behind what it queues."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._end_requests()
        return self._begun

    def _end_requests(self) -> None:
        with self._changed:
            first, self._ended = self.queues and not self._ended, self.queues
        # Not by two threads at once.
        if first and not end_context(self._context, _PAUSE):
            _log.error("a request to the replay service of %s does not end", self._name)

    def _finish(self) -> None:
        """See to what still waits, and end the workers."""
        self._end_requests()
        with self._changed:
            waiting = [each for each in (self._current, *self._room) if each is not None]
            self._room.clear()
        try:
            if self.position.path is None:
                self._flush(waiting)
            elif waiting:
                _log.info("%d messages are left to the next start", len(waiting))
        finally:
            Consumer._end_workers(self._consumer)

    def _flush(self, waiting: list[tuple[Any, Body]]) -> None:
        """Queue what waits, whatever is missing before it: nobody would bring it again."""
        tracker = self._watched.tracker
        for message, body in waiting:
            number, msg_id = body["seq_id"], body.get("msg_id")
            decision = tracker.decide(number, msg_id)
            if decision is Decision.GAP:
                tracker.pass_gap(number, msg_id)
            if decision is not Decision.DROP:
                self._consumer.incoming.put(message)

    def close(self) -> None:
        """Write down how far the consumer has got, now that its workers have ended."""
        self.position.save(wait=True)


def at_once(consumer: FedmsgConsumer, message: Any, body: Body) -> Iterator[Any]:
    """Yield a message behind those that were missed before it; nothing for a duplicate.

    For a consumer of which no thread runs.
    """
    # Through the package: tests of applications replace it there.
    package: Any = sys.modules[__package__]
    numbers, config = consumer.name_to_seq_id or {}, consumer.hub.config
    for found in package.check_for_replay(consumer.replay_name, numbers, body, config):
        recovered = message if found is body else _validated(consumer, found)
        if recovered is not None:
            yield recovered


def _validated(consumer: FedmsgConsumer, body: Body) -> Any:
    """Return the envelope of a message from the store; None, with a log entry, if it is wrong."""
    topic = body.get("topic")
    try:
        if not isinstance(topic, str):
            raise TypeError(f"the topic {topic!r:.100} is no text")
        message: Any = Checked(topic=topic, body=body)
        if not consumer.jsonify:
            message = BusMessage(topic, encoding.dumps(body))
        consumer.validate(message)
    except Exception as error:  # noqa: BLE001  nothing in a message may end the thread
        consumer._reject(error)
        return None
    message.checked = consumer
    return message


def _class(consumer: object) -> str:
    return type(consumer).__name__
