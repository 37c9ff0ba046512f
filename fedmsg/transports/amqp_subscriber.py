"""Receiving with AMQP 0.9.1.

A connection belongs to the thread that uses it.  Sources: AMQP 0.9.1, RabbitMQ's page on consumer
acknowledgements.
"""

from __future__ import annotations

import logging
import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any

from .._limits import RateLimit
from . import amqp
from .stomp_rules import NOT_YET, Backoff

_log = logging.getLogger("fedmsg.transports.amqp")

#: How long a wait for deliveries lasts before it is looked whether to stop, seconds.
_POLL = 0.2
#: pika ends a connection at a property that it cannot decode, and says why in the text only;
#: ``error`` is that of ``struct``.
_CAUSE = re.compile(r"Stream connection lost: (\w+)\(")
_UNDECODABLE = {
    "IndexError", "InvalidFieldTypeException", "InvalidOperation", "KeyError", "OverflowError",
    "RecursionError", "TypeError", "UnicodeDecodeError", "ValueError", "error",
}  # fmt: skip
UNDECODABLE = "undecodable properties"


def _check(failures: list[Exception]) -> None:
    """Raise what has ended the connection, if anything has."""
    if failures:
        raise failures[0]


def _is_undecodable(error: Exception) -> bool:
    """True if a connection ended because of what a message says."""
    found = _CAUSE.search(str(error))
    return bool(found) and found[1] in _UNDECODABLE  # type: ignore[index]


class AmqpDelivery:
    """One message from the broker.

    Attributes:
        topic: the routing key; bytes if it is not UTF-8.
        body: as it came.
        headers: whatever the publisher put there.
        msg_id: property ``message_id``, of any type or None.
        user: property ``user_id``, which the broker has checked; or None.
    """

    __slots__ = ("_channel", "_failures", "_tag", "body", "headers", "msg_id", "topic", "user")

    def __init__(
        self, failures: list[Exception], channel: Any, method: Any, properties: Any, body: bytes
    ) -> None:
        self._failures, self._channel, self._tag = failures, channel, method.delivery_tag
        self.topic, self.body = method.routing_key, body
        self.headers: Mapping[str, Any] = properties.headers or {}
        self.msg_id, self.user = properties.message_id, properties.user_id

    def ack(self) -> None:
        """Tell the broker that the message was handled; in the thread that iterates."""
        if self._tag is None or self._failures:
            return
        try:
            self._channel.basic_ack(self._tag)
        except Exception as error:
            # The connection is lost, and the message comes again.
            self._failures.append(error)


class AmqpSubscriber:
    """Receives what is sent to some topics, for ever: it connects again whenever it has to.

    Args:
        settings: of the connection.
        patterns: routing patterns of AMQP.
        queue: name of a durable queue, made if it is missing; empty: one for this connection only.

    Attributes:
        rejected: messages that pika cannot take apart, which are dropped.
        connected: set while messages can arrive.
        reconnects: how often the connection was made again.
        problem: why there is no connection; empty if there is one.
    """

    def __init__(self, settings: amqp.AmqpSettings, patterns: list[str], queue: str = "") -> None:
        amqp.parameters(settings)
        self._settings, self._patterns, self._queue = settings, patterns, queue
        self._stopping = threading.Event()
        self._limit = RateLimit(3)
        self._careful = self._dropping = False
        self.rejected: Counter[str] = Counter()
        self.connected = threading.Event()
        self._connected = False
        self.reconnects, self.problem = 0, NOT_YET

    def stop(self) -> None:
        """End the iteration soon; from any thread."""
        self._stopping.set()

    def deliveries(self) -> Iterator[AmqpDelivery | None]:
        """Yield messages, each wants an answer; None now and then when there are none."""
        backoff = Backoff(self._settings.delay)
        while not self._stopping.is_set():
            try:
                for delivery in self._session():
                    backoff.reset()
                    yield delivery
            except OSError as error:
                self.problem = str(error)
                if self._limit.allow():
                    _log.warning("AMQP broker: %s; connecting again", error)
                self._stopping.wait(backoff.pause())

    def _session(self) -> Iterator[AmqpDelivery | None]:
        """Yield from one connection.

        Raises:
            OSError: it has ended.
        """
        connection = amqp.connect(self._settings)
        working = False
        try:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=self._settings.prefetch)
            queue = self._declare(channel)
            self.reconnects += self._connected
            self._connected, self.problem = True, ""
            self.connected.set()
            working = True
            yield from (self._singly if self._careful else self._streaming)(
                connection, channel, queue
            )
        except Exception as error:
            # pika has various errors for calls on a connection that has just ended.
            if working and _is_undecodable(error):
                self._poisoned(error)
                return
            raise ConnectionError(f"the connection was lost: {error!r}") from error
        finally:
            self.connected.clear()
            amqp.close(connection)

    def _declare(self, channel: Any) -> str:
        name = self._queue
        found = channel.queue_declare(name, durable=bool(name), exclusive=not name)
        queue = str(found.method.queue)
        for pattern in self._patterns:
            channel.queue_bind(queue, self._settings.exchange, pattern)
        return queue

    def _streaming(
        self, connection: Any, channel: Any, queue: str
    ) -> Iterator[AmqpDelivery | None]:
        arrived: deque[AmqpDelivery] = deque()
        failures: list[Exception] = []
        channel.basic_consume(queue, lambda *parts: arrived.append(AmqpDelivery(failures, *parts)))
        while not self._stopping.is_set():
            connection.process_data_events(_POLL)
            if not arrived:
                if not channel.is_open:
                    raise ConnectionError("the channel was closed")
                yield None
            while arrived and not self._stopping.is_set():
                yield arrived.popleft()
                _check(failures)

    def _singly(self, connection: Any, channel: Any, queue: str) -> Iterator[AmqpDelivery | None]:
        """Take one message at a time, until it is known which one cannot be decoded."""
        failures: list[Exception] = []
        for _ in range(self._settings.prefetch):
            method, properties, body = channel.basic_get(queue, auto_ack=self._dropping)
            if method is None:
                break
            if self._dropping:
                method.delivery_tag, self._dropping = None, False
            yield AmqpDelivery(failures, channel, method, properties, body)
            _check(failures)
            if self._stopping.is_set():
                return
        self._careful = False

    def _poisoned(self, error: Exception) -> None:
        """A message cannot be decoded: find it, and then have it dropped by the broker."""
        if self._dropping:
            self.rejected[UNDECODABLE] += 1
            if self._limit.allow():
                _log.warning("dropped a message: %s: %r", UNDECODABLE, error)
        self._dropping = self._careful and not self._dropping
        self._careful = True
