"""Messages from STOMP brokers: delivered to consumers, and answered when those are done.

Specification: consumers.md 5, hub.md 6 and HD-1 to HD-10.
"""

from __future__ import annotations

import fnmatch
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from .. import envelope, options, transports
from .._limits import RateLimit
from ..consumers.message import BusMessage, parsed
from ..consumers.receipt import Delivered, Receipt
from ..consumers.values import as_bool
from ..transports.stomp_subscriber import Delivery, StompSubscriber
from .source import Source

_log = logging.getLogger("moksha.hub")

BAD_UTF8 = "body is not UTF-8"
NO_DESTINATION = "no destination"


class Answers:
    """Sends ACK and NACK, in the order of arrival where an answer is also one for all before it.

    Args:
        in_order: the mode is ``client``, whose answers are cumulative.
        explicit: a failed message gets a NACK; otherwise it gets no answer.
    """

    def __init__(self, in_order: bool, explicit: bool) -> None:
        self._in_order, self._explicit = in_order, explicit
        self._waiting: deque[Answer] = deque()
        self._lock = threading.Lock()

    def expect(self, delivery: Delivery) -> Answer:
        """Return the answer to be given to a delivery."""
        answer = Answer(delivery, self._give)
        if self._in_order:
            with self._lock:
                self._waiting.append(answer)
        return answer

    def _give(self, answer: Answer) -> None:
        if not self._in_order:
            self._send(answer)
            return
        with self._lock:
            while self._waiting and self._waiting[0].complete:
                self._send(self._waiting.popleft())

    def _send(self, answer: Answer) -> None:
        if answer.abandoned:
            return
        if answer.good:
            answer.delivery.ack()
        elif self._explicit:
            answer.delivery.nack()


class Answer:
    """What all consumers of one message say together; any failure is one of the whole.

    Attributes:
        complete: all have said it.
        good: none has failed.
        abandoned: one was stopped before it could begin; the broker keeps the message.
    """

    def __init__(self, delivery: Delivery, give: Callable[[Answer], None]) -> None:
        self.delivery, self._give = delivery, give
        self.good, self.abandoned, self.complete = True, False, False
        self._open = 1  # the one who distributes
        self._lock = threading.Lock()

    def receipt(self) -> Receipt:
        """Return what one consumer answers through."""
        with self._lock:
            self._open += 1
        return Receipt(self.add)

    def add(self, good: bool = True) -> None:
        """One more is done."""
        with self._lock:
            self.good = self.good and good
            self._open -= 1
            self.complete = not self._open
        if self.complete:
            self._give(self)


class StompSource(Source):
    """Hands what brokers deliver to the consumers whose topics match.

    Args:
        config: with the ``stomp_`` options.
        topics: pattern -> callbacks, as consumers subscribed.

    Attributes:
        received: messages that came.
        rejected: messages dropped, counted by reason.
    """

    def __init__(self, config: Mapping[str, Any], topics: Mapping[str, list[Any]]) -> None:
        super().__init__("fedmsg-hub-broker")
        self._config, self._topics = config, topics
        self._subscriber: StompSubscriber | None = None
        self._answers = Answers(
            in_order=options.get(config, "stomp_ack_mode") == "client",
            explicit=as_bool(options.get(config, "stomp_send_explicit_nacks")),
        )
        self._limit = RateLimit(60)
        self.received = 0
        self.rejected: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to connect and to receive.

        Raises:
            MissingDependency: stomp.py is not installed.
            ConfigurationError: an option is wrong.
        """
        patterns = [pattern or "*" for pattern in self._topics] or ["*"]
        self._subscriber = transports.broker_subscriber(self._config, patterns)
        self._thread.start()

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return self._subscriber.reconnects if self._subscriber is not None else 0

    @property
    def problem(self) -> str:
        """Why there is no connection; empty if there is one."""
        return self._subscriber.problem if self._subscriber is not None else "not started"

    def _receive(self) -> None:
        assert self._subscriber is not None
        for delivery in self._subscriber.deliveries():
            self._deliver(delivery)

    def _begin_stop(self) -> None:
        # Answers are still sent, until close().
        if self._subscriber is not None:
            self._subscriber.pause()

    def _deliver(self, delivery: Delivery) -> None:
        self.received += 1
        answer = self._answers.expect(delivery)
        try:
            if not delivery.topic:
                self._reject(NO_DESTINATION, delivery)
                return
            if envelope.has_control_characters(delivery.topic):
                self._reject(envelope.CONTROL_CHARACTERS, delivery)
                return
            body = delivery.body.decode("utf-8") if delivery.body else "{}"
        except UnicodeDecodeError:
            self._reject(BAD_UTF8, delivery)
        else:
            for callback in self._wanted(delivery):
                self._call(callback, delivery, body, answer)
        finally:
            answer.add()

    def _reject(self, reason: str, delivery: Delivery) -> None:
        """Drop what would fail again: it is acknowledged, counted and logged."""
        self.rejected[reason] += 1
        if self._limit.allow():
            _log.warning("dropped a message on %a: %s", delivery.topic[:200], reason)

    def _wanted(self, delivery: Delivery) -> list[Any]:
        """Return the callbacks for a message, each once."""
        subscription = delivery.headers.get("subscription")
        found: dict[Any, None] = {}
        for pattern, callbacks in self._topics.items():
            if subscription == pattern or fnmatch.fnmatchcase(delivery.topic, pattern or "*"):
                found.update(dict.fromkeys(callbacks))
        return list(found)

    def _call(self, callback: Any, delivery: Delivery, body: str, answer: Answer) -> None:
        receipt = answer.receipt()
        headers = {str(key): str(value) for key, value in delivery.headers.items()}
        message: Any
        if getattr(getattr(callback, "__self__", None), "jsonify", True):
            message = Delivered(topic=delivery.topic, body=parsed(body), headers=headers)
        else:
            message = BusMessage(delivery.topic, body, headers)
        message.receipt = receipt
        try:
            result = callback(message)
        except BaseException:  # SystemExit too: this is not the receiver's thread to end
            _log.exception("%r failed on a message on %a", callback, delivery.topic[:200])
            result = False
        if receipt.abandoned:
            answer.abandoned = True
        # None: it was not valid, or its consumer is one that does not tell; both count as handled.
        if not receipt.accepted:
            answer.add(result is not False)

    def close(self) -> None:
        """Send the answers that are queued, and end the connection; idempotent.

        What has not been answered is delivered again, unless the mode is ``auto``.
        """
        if self._subscriber is not None:
            self._subscriber.close()
