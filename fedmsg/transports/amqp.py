"""Connecting and publishing with AMQP 0.9.1 through pika; the only module that imports it.

A connection belongs to the thread that uses it.  Sources: AMQP 0.9.1, RabbitMQ's page on
publisher confirms.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._visible import one_line
from ..exceptions import BrokerRefused, ConfigurationError, MissingDependency
from .stomp_rules import NOT_YET

#: Longest wait for a broker that blocks its publishers, as when its disk is full, seconds.
_BLOCKED = 60
#: AMQP's limit for a routing key and an id, bytes.
_SHORT = 255
#: PRECONDITION_FAILED: what RabbitMQ says of a message that is too large for it.
_TOO_LARGE = 406


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


def connect(settings: AmqpSettings) -> Any:
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


def close(connection: Any) -> None:
    """End a connection."""
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
            self._connection = connect(self._settings)
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
            close(connection)
