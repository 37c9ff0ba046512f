"""AMQP 0.9.1 through pika; the only module that imports it, which is why it is long.

A connection belongs to the thread that uses it.  Sources: AMQP 0.9.1, RabbitMQ's pages on
publisher confirms and consumer acknowledgements.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .._limits import RateLimit
from .._visible import one_line
from ..exceptions import BrokerRefused, ConfigurationError, MissingDependency
from .stomp_rules import NOT_YET, Backoff

_log = logging.getLogger("fedmsg.transports.amqp")

#: How long a wait for deliveries lasts before it is looked whether to stop, seconds.
_POLL = 0.2
#: Longest wait for a broker that blocks its publishers, as when its disk is full, seconds.
_BLOCKED = 60
#: AMQP's limit for a routing key and an id, bytes.
_SHORT = 255
#: PRECONDITION_FAILED: what RabbitMQ says of a message that is too large for it.
_TOO_LARGE = 406
#: pika ends a connection at a property that it cannot decode, and says why in the text only;
#: ``error`` is that of ``struct``.
_CAUSE = re.compile(r"Stream connection lost: (\w+)\(")
_UNDECODABLE = {
    "IndexError", "InvalidFieldTypeException", "InvalidOperation", "KeyError", "OverflowError",
    "RecursionError", "TypeError", "UnicodeDecodeError", "ValueError", "error",
}  # fmt: skip
UNDECODABLE = "undecodable properties"


class AmqpSettings(NamedTuple):
    """Whom to connect to, and what to use there.

    Attributes:
        url: ``amqp://user:password@host:port/vhost``, or ``amqps://``.
        exchange: of type topic; it has to exist.
        timeout: longest wait for a connection, seconds.
        delay: first pause before connecting again, seconds.
        prefetch: messages that may be here and not acknowledged.
    """

    url: str
    exchange: str = "amq.topic"
    timeout: float = 10.0
    delay: float = 0.1
    prefetch: int = 200


def library() -> Any:
    """Return the package ``pika``.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import pika
        import pika.exceptions
    except ImportError as error:
        raise MissingDependency(
            "AMQP needs pika, which the extra 'bridge' installs: pip install '.[bridge]'"
        ) from error
    return pika


def parameters(settings: AmqpSettings) -> Any:
    """Return pika's parameters.

    Raises:
        ConfigurationError: the URL is none; it is not shown, for it may hold a password.
        MissingDependency: pika is not installed.
    """
    pika = library()
    try:
        if not settings.url.startswith(("amqp://", "amqps://")):
            raise ValueError("it does not begin with amqp:// or amqps://")
        found = pika.URLParameters(settings.url)
    except (ValueError, TypeError, IndexError) as error:
        raise ConfigurationError(
            "Invalid configuration value for 'bridge_amqp_url': it must look like"
            " 'amqps://user:password@host:5671/vhost'"
        ) from error
    found.socket_timeout = found.stack_timeout = settings.timeout
    found.blocked_connection_timeout = _BLOCKED
    return found


def _connect(settings: AmqpSettings) -> Any:
    """Return a BlockingConnection.

    Raises:
        OSError: it cannot be made.
    """
    given = parameters(settings)
    pika = library()
    try:
        return pika.BlockingConnection(given)
    except pika.exceptions.AMQPError as error:
        raise ConnectionError(f"{given.host}:{given.port}: {error!r}") from error


def _check(failures: list[Exception]) -> None:
    """Raise what has ended the connection, if anything has."""
    if failures:
        raise failures[0]


def _is_undecodable(error: Exception) -> bool:
    """True if a connection ended because of what a message says."""
    found = _CAUSE.search(str(error))
    return bool(found) and found[1] in _UNDECODABLE  # type: ignore[index]


def _close(connection: Any) -> None:
    # Whatever state a lost connection is in, nobody needs it any more.
    with contextlib.suppress(Exception):
        connection.close()


class AmqpPublisher:
    """Publishes one message after another, each confirmed by the broker.

    Args:
        settings: of the connection.

    Attributes:
        reconnects: how often the connection was made again.
        problem: why there is no connection; empty if there is one.
    """

    def __init__(self, settings: AmqpSettings) -> None:
        self._settings = settings
        self._connection: Any = None
        self._channel: Any = None
        self._connected = False
        self.reconnects, self.problem = 0, NOT_YET

    def publish(self, topic: str, body: bytes, msg_id: str, headers: Mapping[str, Any]) -> None:
        """Return when the broker has confirmed the message.

        Raises:
            BrokerRefused: it does not want this one.
            OSError: the connection failed; the message may have arrived or not.
            ValueError: topic or id are longer than AMQP allows.
        """
        if max(len(topic.encode("utf-8")), len(msg_id.encode("utf-8"))) > _SHORT:
            raise ValueError(f"topic or id have more than {_SHORT} bytes")
        pika = library()
        properties = pika.BasicProperties(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            message_id=msg_id,
            headers=dict(headers),
        )
        try:
            self._open().basic_publish(self._settings.exchange, topic, body, properties)
        except pika.exceptions.NackError as error:
            raise BrokerRefused(f"the broker did not take {topic!r}") from error
        except pika.exceptions.ChannelClosedByBroker as error:
            text = f"the broker refused {topic!r}: {one_line(error.reply_text)}"
            lost = self._lost(text)
            if error.reply_code == _TOO_LARGE:
                raise BrokerRefused(text, topic) from error
            raise lost from error
        except (pika.exceptions.AMQPError, OSError) as error:
            raise self._lost(f"the connection was lost: {error!r}") from error

    def _open(self) -> Any:
        if self._channel is None:
            self._connection = _connect(self._settings)
            self._channel = self._connection.channel()
            self._channel.confirm_delivery()
            self.reconnects += self._connected
            self._connected, self.problem = True, ""
        return self._channel

    def _lost(self, text: str) -> ConnectionError:
        self.close()
        self.problem = text
        return ConnectionError(text)

    def idle(self) -> None:
        """Connect, or answer heart-beats; called at least every few seconds.

        Raises:
            OSError: there is no connection.
        """
        try:
            self._open()
            self._connection.process_data_events(0)
        except (library().exceptions.AMQPError, OSError) as error:
            raise self._lost(f"the connection was lost: {error!r}") from error

    def close(self) -> None:
        """End the connection; idempotent."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            _close(connection)


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

    def __init__(self, settings: AmqpSettings, patterns: list[str], queue: str = "") -> None:
        parameters(settings)
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
        connection = _connect(self._settings)
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
            _close(connection)

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
