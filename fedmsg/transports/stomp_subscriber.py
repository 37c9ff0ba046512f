"""Subscribing at STOMP brokers: deliveries, one after another, to be acknowledged."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..exceptions import BrokerRefused, ConfigurationError, FedmsgError
from . import stomp
from .stomp_rules import NOT_YET, Settings, subscriptions, topic_of
from .stomp_session import Session

_log = logging.getLogger("fedmsg.transports.stomp")

#: Seconds after which the main thread looks for signals, at the latest.
_LONGEST_WAIT = 1.0
#: What has arrived and is not handed out yet: messages, bytes.  Beyond that nothing is read.
_QUEUE = 1000
_QUEUE_BYTES = 64 * 1024 * 1024
#: Asks a broker not to send more than so many messages that are not acknowledged.
_PREFETCH = {"RabbitMQ": "prefetch-count", "ActiveMQ": "activemq.prefetchSize"}

ACK_MODES = ("auto", "client", "client-individual")


class Delivery:
    """One message from a broker.

    Attributes:
        topic: of the message; empty if there was no destination.
        body: as it came.
        headers: as they came, unescaped.
        endpoint: ``host:port`` of the broker.
    """

    __slots__ = ("_connection", "_session", "body", "endpoint", "headers", "topic")

    def __init__(
        self, session: SubscribingSession, topic: str, body: bytes, headers: Mapping[str, str]
    ) -> None:
        self._session, self._connection = session, session.generation
        self.topic, self.body, self.headers = topic, body, headers
        self.endpoint = session.endpoint

    def ack(self) -> None:
        """Tell the broker that the message was handled; without meaning in mode ``auto``."""
        self._session.answer(self._connection, "ack", self.headers.get("ack", ""))

    def nack(self) -> None:
        """Tell the broker that it was not."""
        self._session.answer(self._connection, "nack", self.headers.get("ack", ""))


class SubscribingSession(Session):
    """A connection with subscriptions, made anew with every connection."""

    def __init__(
        self, settings: Settings, patterns: Iterable[str], queue: str, ack_mode: str,
        headers: Mapping[str, str],
    ) -> None:  # fmt: skip
        super().__init__(settings)
        self._patterns, self._queue_name = tuple(patterns), queue
        self._mode, self._headers = ack_mode, dict(headers)
        self.generation = 0
        self.paused = False
        self.subscribed = False
        self.fatal: FedmsgError | None = None
        self._targets: dict[str, str] = {}
        self._missing: set[str] = set()
        self._arrived: deque[Delivery] = deque()
        self._bytes = 0
        self._answers: deque[tuple[str, str]] = deque()

    # -- for the threads that handle messages ------------------------------------------------

    def answer(self, generation: int, command: str, identity: str) -> None:
        """Queue an ACK or NACK, unless the connection that it is for is gone."""
        with self.condition:
            if self._mode != "auto" and identity and generation == self.generation:
                self._answers.append((command, identity))
                self.condition.notify_all()

    def next(self) -> Delivery | None:
        """Wait for the next delivery; None if the session has been told to stop, or to pause.

        Raises:
            BrokerRefused: no broker has accepted the subscription so far, and one refuses it.
            ConfigurationError: the subscription cannot be expressed for this broker.
        """
        with self.condition:
            while not self.condition.wait_for(self._has_news, _LONGEST_WAIT):
                pass  # a signal that came just before the wait has its handler run after it
            # What is acknowledged already would be lost; the rest is delivered again.
            ended = self.paused and (self._mode != "auto" or not self._arrived)
            if self.stopping or ended:
                return None
            if not self._arrived:
                raise self._problem() or FedmsgError("no message")
            had_room = self._has_room()
            delivery = self._arrived.popleft()
            self._bytes -= len(delivery.body)
            if not had_room:
                self.condition.notify_all()
            return delivery

    def _problem(self) -> FedmsgError | None:
        return self.fatal or (None if self.subscribed else self.refusal)

    # -- hooks -------------------------------------------------------------------------------

    def connected(self, connection: stomp.Connection) -> None:
        """Subscribe."""
        try:
            targets = (
                [self._queue_name]
                if self._queue_name
                else subscriptions(self._patterns, self.settings.destination, self.dialect)
            )
        except ConfigurationError as error:
            with self.condition:
                self.fatal = error
            raise
        headers = dict(self._headers)
        if self._mode != "auto" and self.dialect.name in _PREFETCH:
            headers.setdefault(_PREFETCH[self.dialect.name], str(_QUEUE))
        with self.condition:
            self.generation += 1
            self._answers.clear()
            self._targets = {str(number): target for number, target in enumerate(targets)}
            self._missing = set(self._targets)
        for number, target in self._targets.items():
            connection.protocol.subscribe(
                target, number, self._mode, {**headers, "receipt": number}
            )
        connection.flush()

    def has_work(self) -> bool:
        """True if there are answers to send."""
        return bool(self._answers)

    def work(self, connection: stomp.Connection) -> bool:
        """Send the answers."""
        with self.condition:
            answers = list(self._answers)
            self._answers.clear()
        for command, identity in answers:
            (connection.protocol.ack if command == "ack" else connection.protocol.nack)(identity)
        return bool(answers)

    def _has_news(self) -> object:
        return self._arrived or self.stopping or self.paused or self._problem()

    def received(self, command: str, headers: Mapping[str, str], body: bytes) -> None:
        """Queue a message; where too many wait, the broker has to wait too."""
        with self.condition:
            if command == "RECEIPT":
                self._missing.discard(headers.get("receipt-id", ""))
                self.subscribed = self.subscribed or not self._missing
                self.condition.notify_all()
                return
            topic = topic_of(headers, self.settings.destination, self.dialect)
            self.condition.wait_for(self._has_room)
            self._arrived.append(Delivery(self, topic, body, headers))
            self._bytes += len(body)
            if len(self._arrived) == 1:
                self.condition.notify_all()

    def _has_room(self) -> bool:
        room = len(self._arrived) < _QUEUE and self._bytes < _QUEUE_BYTES
        return room or self.stopping or self._connection is None or self._connection.aborted

    def refused(self, error: BrokerRefused, receipt: str) -> bool:
        """The subscription is not allowed, or an answer was wrong."""
        target = self._targets.get(receipt) or ", ".join(self._targets.values())
        with self.condition:
            if not self.subscribed:
                text = f"the broker refused the subscription to {target!r}: {error}"
                self.refusal = BrokerRefused(text, target)
                self.condition.notify_all()
        return False

    def lost(self) -> None:
        """What was not acknowledged will come again."""
        if self._mode != "auto":
            self._arrived.clear()
            self._bytes = 0


class StompSubscriber:
    """Receives what is sent to some topics, from the first broker that lets us in.

    Args:
        settings: of the connection.
        patterns: prefixes of topics, or patterns with wildcards.
        matches: says of a topic whether it is wanted; what the broker sends is more than that.
        queue: subscribe to this destination instead of the patterns'.
        ack_mode: ``auto``, ``client`` or ``client-individual``.
        headers: more headers for SUBSCRIBE; ``client-id`` goes to CONNECT instead.

    Raises:
        MissingDependency: stomp.py is not installed.
        ConfigurationError: ``ack_mode`` or a file for TLS is wrong.
    """

    def __init__(
        self,
        settings: Settings,
        patterns: Iterable[str],
        matches: Callable[[str], bool] = lambda topic: True,
        queue: str = "",
        ack_mode: str = "auto",
        headers: Mapping[str, Any] | None = None,
    ) -> None:
        if ack_mode not in ACK_MODES:
            raise ConfigurationError(
                f"Invalid configuration value for 'stomp_ack_mode': {ack_mode!r} is not one of"
                f" {', '.join(ACK_MODES)}"
            )
        more = {str(name): str(value) for name, value in (headers or {}).items()}
        settings = settings._replace(client_id=more.pop("client-id", ""))
        self._matches = matches
        self._session = SubscribingSession(settings, patterns, queue, ack_mode, more)
        self._abandoned = False
        self._closed = threading.Event()
        self._session.start()

    def deliveries(self) -> Iterator[Delivery]:
        """Yield every message for ever, or until :meth:`stop`; each wants an answer.

        Raises:
            BrokerRefused: we are not let in, or may not subscribe; only until it worked once.
            ConfigurationError: the broker's wildcards are not known.
        """
        try:
            while (delivery := self._session.next()) is not None:
                if self._matches(delivery.topic):
                    yield delivery
                else:
                    delivery.ack()
        finally:
            if not self._session.paused:
                self.close()

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return max(0, self._session.connections - 1)

    @property
    def problem(self) -> str:
        """Why there is no connection; empty if there is one."""
        session = self._session
        return "" if session.endpoint else session.problem or NOT_YET

    def pause(self) -> None:
        """End :meth:`deliveries`, from any thread; answers are still sent, until :meth:`close`."""
        with self._session.condition:
            self._session.paused = True
            self._session.condition.notify_all()

    def frames(self) -> Iterator[tuple[str, str, list[bytes]]]:
        """Yield ``("stomp", endpoint, frames)``; each message is acknowledged at once."""
        for delivery in self.deliveries():
            delivery.ack()
            yield "stomp", delivery.endpoint, [delivery.topic.encode("utf-8"), delivery.body]

    def wait_subscribed(self, timeout: float) -> bool:
        """Wait for a broker to confirm the subscription; return whether one has."""
        session = self._session
        with session.condition:
            return session.condition.wait_for(lambda: session.subscribed, timeout)

    def stop(self) -> None:
        """End the iteration, from any thread."""
        with self._session.condition:
            self._session.stopping = True
            self._session.condition.notify_all()

    def wait_closed(self, timeout: float) -> bool:
        """Wait up to ``timeout`` seconds for the connection to be closed; return whether it is."""
        return self._closed.wait(timeout)

    def abandon(self) -> None:
        """In a forked child: the connection is the parent's."""
        self._abandoned = True

    def close(self) -> None:
        """Send the answers that are queued, and end the connection; idempotent."""
        if not self._abandoned and not self._closed.is_set():
            self._session.stop()
            self._closed.set()
