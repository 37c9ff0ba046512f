"""The broker's side: what is sent there is confirmed, what comes from there is acknowledged."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from .. import encoding, options, transports
from .._limits import RateLimit
from ..exceptions import BrokerRefused, ConfigurationError, NotConfirmed
from ..transports.amqp import AmqpPublisher, AmqpSettings
from ..transports.amqp_subscriber import AmqpSubscriber
from ..transports.stomp_rules import Backoff
from . import forms

_log = logging.getLogger("fedmsg.bridge")

#: Longest wait for confirmations before it is looked whether to stop, seconds.
_LOOK = 0.5
#: A connection that has lasted so long is of use, seconds.
_USEFUL_SECONDS = 10.0
#: A message that a broker refuses so often is given up.
_REFUSALS = 3

REFUSED = "refused by the broker"
CANNOT_EXPRESS = "cannot be expressed for the broker"

Config = Mapping[str, Any]


class Item(NamedTuple):
    """A message on its way out: its id, its topic, and its body as it came."""

    msg_id: str
    topic: str
    body: bytes
    message: dict[str, Any]


class Outlet(ABC):
    """Sends to the broker.

    Args:
        publisher: the connection.
        path: names of the buses that the messages have been on.
        counts: gets ``confirmed``, and what is given up by reason.
    """

    def __init__(self, publisher: Any, path: str, counts: Counter[str]) -> None:
        self._publisher, self._path, self._counts = publisher, path, counts
        self._limit = RateLimit(6)

    @abstractmethod
    def deliver(self, items: Sequence[Item], given_up: threading.Event) -> bool:
        """Return when the broker has confirmed or refused all of them; False if told to give up.

        It connects again for as long as it takes.
        """

    def idle(self) -> None:  # noqa: B027  most have nothing to do
        """Called now and then while there is nothing to send."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    @property
    @abstractmethod
    def unconfirmed(self) -> int:
        """Messages that were given to :meth:`deliver`, and are not confirmed."""

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return int(self._publisher.reconnects)

    @property
    def problem(self) -> str:
        """Why there is no connection; empty if there is one."""
        return str(self._publisher.problem)

    def _drop(self, reason: str, error: Exception) -> None:
        self._counts[reason] += 1
        if self._limit.allow():
            _log.error("a message did not cross: %s: %s", reason, error)


class StompOutlet(Outlet):
    """Sends to STOMP brokers."""

    def __init__(self, config: Config, path: str, counts: Counter[str]) -> None:
        publisher = transports.broker_publisher({**config, "stomp_window_timeout": _LOOK})
        if publisher is None:
            raise ConfigurationError("fedmsg-bridge needs 'stomp_uri' for a STOMP broker")
        super().__init__(publisher, path, counts)
        publisher.open()

    def deliver(self, items: Sequence[Item], given_up: threading.Event) -> bool:
        """See :class:`Outlet`."""
        before = self._publisher.undelivered
        sent = sum(self._send(item, given_up) for item in items)
        while self._flush():
            if given_up.is_set():
                return False
        self._counts["confirmed"] += sent - (self._publisher.undelivered - before)
        return not given_up.is_set()

    def _send(self, item: Item, given_up: threading.Event) -> bool:
        """Hand one message over; return whether it was, and not refused by ourselves."""
        raw = item.topic.encode("utf-8")
        while not given_up.is_set():
            try:
                self._publisher.send(raw, item.body, item.msg_id, {forms.PATH: self._path})
                return True
            except NotConfirmed:
                pass  # the window is full
            except BrokerRefused as error:
                self._refused(error, given_up)
            except ValueError as error:
                self._drop(CANNOT_EXPRESS, error)
                return False
        return False

    def _flush(self) -> int:
        try:
            return int(self._publisher.flush(_LOOK))
        except BrokerRefused as error:
            self._refused(error, None)
            return 1

    def _refused(self, error: BrokerRefused, given_up: threading.Event | None) -> None:
        """An earlier message was refused, which is counted; or we are, and try again."""
        if error.destination:
            self._drop(REFUSED, error)
        elif given_up is not None:
            given_up.wait(_LOOK)

    @property
    def unconfirmed(self) -> int:
        """See :class:`Outlet`."""
        return int(self._publisher.unconfirmed)

    def close(self) -> None:
        """See :class:`Outlet`."""
        self._publisher.close(0.5)


class AmqpOutlet(Outlet):
    """Sends to an AMQP broker."""

    def __init__(self, config: Config, path: str, counts: Counter[str]) -> None:
        settings = amqp_settings(config)
        super().__init__(AmqpPublisher(settings), path, counts)
        self._backoff = Backoff(settings.delay)
        self._connect_at = 0.0
        self._unconfirmed = 0

    @property
    def unconfirmed(self) -> int:
        """See :class:`Outlet`."""
        return self._unconfirmed

    def deliver(self, items: Sequence[Item], given_up: threading.Event) -> bool:
        """See :class:`Outlet`."""
        self._unconfirmed = len(items)
        for item in items:
            if not self._deliver(item, given_up):
                return False
            self._unconfirmed -= 1
        return True

    def _deliver(self, item: Item, given_up: threading.Event) -> bool:
        try:
            body, headers = forms.amqp_form(item.message)
        except RecursionError as error:
            self._drop(CANNOT_EXPRESS, error)
            return True
        send = partial(self._publisher.publish, item.topic, body, item.msg_id)
        refusals = 0
        while not given_up.is_set():
            try:
                send({**headers, forms.PATH: self._path})
            except BrokerRefused as error:
                refusals += 1
                if refusals >= _REFUSALS:
                    self._drop(REFUSED, error)
                    return True
                given_up.wait(self._backoff.pause())
            except OSError as error:
                self._warn(error)
                given_up.wait(self._backoff.pause())
            except ValueError as error:
                self._drop(CANNOT_EXPRESS, error)
                return True
            else:
                self._backoff.reset()
                self._counts["confirmed"] += 1
                return True
        return False

    def idle(self) -> None:
        """See :class:`Outlet`."""
        now = time.monotonic()
        if now < self._connect_at:
            return
        try:
            self._publisher.idle()
        except OSError as error:
            self._warn(error)
            self._connect_at = time.monotonic() + self._backoff.pause()
            return
        if now - self._connect_at > _USEFUL_SECONDS:
            self._backoff.reset()

    def _warn(self, error: OSError) -> None:
        if self._limit.allow():
            _log.warning("AMQP broker: %s; connecting again", error)

    def close(self) -> None:
        """See :class:`Outlet`."""
        self._publisher.close()


class Inlet:
    """Receives from the broker, whichever it is.

    Args:
        config: the configuration.
        queue: queue or destination to receive from; empty: what the configuration says.
    """

    def __init__(self, config: Config, queue: str = "") -> None:
        self._amqp = kind(config) == "amqp"
        prefixes = options.get(config, "bridge_topics") or [""]
        self._limit = options.get(config, "max_message_size")
        self._subscriber: Any
        if self._amqp:
            patterns = [f"{each[: each.rfind('.') + 1]}#" for each in prefixes]
            self._subscriber = AmqpSubscriber(amqp_settings(config), patterns, queue)
        else:
            more = {"stomp_queue": queue} if queue else {}
            given = {**config, **more, "stomp_ack_mode": "client-individual"}
            self._subscriber = transports.broker_subscriber(given, list(prefixes))
            if self._subscriber is None:
                raise ConfigurationError("fedmsg-bridge needs 'stomp_uri' for a STOMP broker")

    def deliveries(self) -> Iterator[Any]:
        """Yield what arrives, until :meth:`stop`; each wants an answer.

        Raises:
            BrokerRefused, ConfigurationError: see :class:`StompSubscriber`.
        """
        for delivery in self._subscriber.deliveries():
            if delivery is not None:
                yield delivery

    def message(self, delivery: Any) -> dict[str, Any]:
        """Return the message in a delivery.

        Raises:
            Rejected: there is none.
        """
        form = forms.from_amqp if self._amqp else forms.from_stomp
        return form(delivery, self._limit)

    def bytes_of(self, delivery: Any, message: Mapping[str, Any]) -> bytes:
        """Return the body for the bus: as it came, where it came in that form."""
        return encoding.dumps(message).encode("ascii") if self._amqp else bytes(delivery.body)

    def wait_ready(self, seconds: float) -> bool:
        """Wait until messages can arrive; return whether they can."""
        if self._amqp:
            return bool(self._subscriber.connected.wait(seconds))
        return bool(self._subscriber.wait_subscribed(seconds))

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return int(self._subscriber.reconnects)

    @property
    def problem(self) -> str:
        """Why there is no connection; empty if there is one."""
        return str(self._subscriber.problem)

    @property
    def rejected(self) -> Mapping[str, int]:
        """What the library could not even take apart."""
        return self._subscriber.rejected if self._amqp else {}

    def stop(self) -> None:
        """End the iteration, from any thread; answers are still sent."""
        (self._subscriber.stop if self._amqp else self._subscriber.pause)()

    def close(self) -> None:
        """End the connection, after the iteration has ended."""
        if not self._amqp:
            self._subscriber.close()


def kind(config: Config) -> str:
    """Return ``amqp`` or ``stomp``.

    Raises:
        ConfigurationError: neither is configured, or both.
    """
    amqp = bool(config.get("bridge_amqp_url"))
    stomp = bool(config.get("stomp_uri") or config.get("stomp_broker"))
    if amqp == stomp:
        raise ConfigurationError(
            f"fedmsg-bridge needs {'only one' if amqp else 'one'} of 'bridge_amqp_url' and"
            " 'stomp_uri' in the configuration, to know the broker"
        )
    return "amqp" if amqp else "stomp"


def amqp_settings(config: Config) -> AmqpSettings:
    """Return how to use the AMQP broker of a configuration."""
    return AmqpSettings(
        config["bridge_amqp_url"],
        options.get(config, "bridge_amqp_exchange"),
        prefetch=max(1, options.get(config, "bridge_window")),
    )


def outlet(config: Config, path: str, counts: Counter[str]) -> Outlet:
    """Return what sends to the broker of a configuration."""
    return (AmqpOutlet if kind(config) == "amqp" else StompOutlet)(config, path, counts)
