"""Publishing to STOMP brokers: every message is confirmed by a receipt, or reported."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from .._limits import RateLimit
from ..exceptions import BrokerRefused, NoPublisher, NotConfirmed
from . import stomp
from .base import Transport
from .stomp_outbox import Outbox, Outgoing
from .stomp_rules import NOT_YET, VAGUE_ERRORS, Settings, destination, where
from .stomp_session import Session

_log = logging.getLogger("fedmsg.transports.stomp")

#: Sent in one go: messages, bytes of bodies.
_BATCH = 100
_BATCH_BYTES = 256 * 1024

CLOSED = "this publisher is not open, or has been closed"

_destination = lru_cache(maxsize=1024)(destination)


class PublishingSession(Session):
    """The one connection of a process to publish through, for one set of settings."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.users = 0
        self._outbox = Outbox(settings.window)
        self._waiters = 0
        self._idle = False
        self._refusal_limit = RateLimit(6)

    def submit(self, message: Outgoing, timeout: float) -> None:
        """Accept a message.

        Raises:
            BrokerRefused: every broker that can be reached refuses us.
            NotConfirmed: the window has been full for ``timeout`` seconds.
            NoPublisher: its source was closed.
        """
        with self.condition:
            if self.refusal is not None:
                raise BrokerRefused(f"{self.refusal}; the message was not sent")
            if self._outbox.full and not self._wait(lambda: not self._outbox.full, timeout):
                count = len(self._outbox)
                raise NotConfirmed(
                    f"{count} messages are not confirmed by {self._where()} and none was within"
                    f" {timeout:g} s; the message was not sent. Start the broker, or correct"
                    " 'stomp_uri'." + (f" ({self.problem})" if self.problem else ""),
                    count,
                )
            if message.source.is_closed:  # meanwhile, by another thread
                raise NoPublisher(CLOSED)
            self._outbox.add(message)
            message.source.unconfirmed += 1
            if self._idle:
                self.condition.notify_all()

    def flush(self, source: StompPublisher, timeout: float) -> int:
        """Wait for the confirmations of a source; return how many are missing."""
        with self.condition:
            self._wait(lambda: not source.unconfirmed or source.refusal, timeout)
            return source.unconfirmed

    def withdraw(self, source: StompPublisher) -> int:
        """Give up what a source has unconfirmed; return how many messages that were."""
        with self.condition:
            source.unconfirmed = 0
            return self._outbox.withdraw(source)

    def _wait(self, happened: Any, timeout: float) -> bool:
        self._waiters += 1
        try:
            return bool(self.condition.wait_for(happened, timeout))
        finally:
            self._waiters -= 1

    def _where(self) -> str:
        return " or ".join(map(where, self.settings.brokers))

    # -- hooks of the session ----------------------------------------------------------------

    def has_work(self) -> bool:
        """True if a message can be sent."""
        self._idle = not self._outbox.ready
        return not self._idle

    def work(self, connection: stomp.Connection) -> bool:
        """Send the next messages."""
        batch: list[tuple[str, Outgoing]] = []
        size = 0
        with self.condition:
            self._idle = False
            while self._outbox.ready and len(batch) < _BATCH and size < _BATCH_BYTES:
                batch.append(self._outbox.take())
                size += len(batch[-1][1].body)
        for receipt, message in batch:
            try:
                target = _destination(message.topic, self.settings.destination, self.dialect)
            except ValueError as error:
                self._give_up(receipt, BrokerRefused(str(error)))
                continue
            headers = {
                **message.headers,
                "content-length": len(message.body),
                "persistent": "true",
                "receipt": receipt,
                "topic": message.topic,
                "msg_id": message.msg_id,
            }
            connection.protocol.send(target, message.body, "application/json", headers)
        return bool(batch)

    def received(self, command: str, headers: Mapping[str, str], body: bytes) -> None:
        """Take note of a receipt."""
        if command != "RECEIPT":
            return
        with self.condition:
            message = self._outbox.confirm(headers.get("receipt-id", ""))
            if message is not None:
                message.source.unconfirmed -= 1
                if self._waiters or (self._idle and self._outbox.ready):
                    self.condition.notify_all()

    def refused(self, error: BrokerRefused, receipt: str) -> bool:
        """Find out which message the broker does not want."""
        with self.condition:
            message = self._outbox.refuse(receipt, str(error) in VAGUE_ERRORS)
            if message is not None:
                self._blame(message, error)
        # The broker closes, unless it could say which one it was.
        return message is not None and bool(receipt)

    def lost(self) -> None:
        """Send again what is not confirmed."""
        self._outbox.resend()

    def _give_up(self, receipt: str, error: BrokerRefused) -> None:
        with self.condition:
            message = self._outbox.confirm(receipt)
            if message is not None:
                self._blame(message, error)

    def _blame(self, message: Outgoing, error: BrokerRefused) -> None:
        """Give a message up; the condition is held."""
        try:
            target = _destination(message.topic, self.settings.destination, self.dialect)
        except ValueError:
            target = message.topic
        text = f"the broker refused message {message.msg_id} to {target!r}: {error}"
        message.source.unconfirmed -= 1
        message.source.undelivered += 1
        message.source.refusal = BrokerRefused(text, target)
        self.condition.notify_all()
        if self._refusal_limit.allow():
            _log.error("%s; it was not delivered", text)


class StompPublisher(Transport):
    """Publishes to the first of the brokers that lets us in; the next, when that one goes away.

    Args:
        settings: of the connection, which all publishers with the same settings share.
        settle: seconds that :meth:`open` waits for the connection.
        timeout: seconds that :meth:`send` waits for room among the unconfirmed messages.

    Attributes:
        unconfirmed: messages sent, or to be sent, whose receipt has not come.
        refusal: what the broker said to the last message that it refused, until it is raised.
    """

    name = "stomp"

    def __init__(self, settings: Settings, settle: float = 0.0, timeout: float = 10.0) -> None:
        self._settings, self._settle, self._timeout = settings, settle, timeout
        self._session: PublishingSession | None = None
        self.unconfirmed = 0
        self.refusal: BrokerRefused | None = None

    @property
    def is_closed(self) -> bool:
        """True before :meth:`open` and after :meth:`close`."""
        return self._session is None

    def open(self) -> None:
        """Connect in the background, and wait a moment for the outcome.

        Raises:
            MissingDependency: stomp.py is not installed.
            ConfigurationError: a file for TLS is wrong.
        """
        self._session = _acquire(self._settings)
        self._session.await_outcome(self._settle)

    @property
    def reconnects(self) -> int:
        """How often the connection was made again."""
        return max(0, self._session.connections - 1) if self._session else 0

    @property
    def problem(self) -> str:
        """Why there is no connection; empty if there is one."""
        session = self._session
        if session is None:
            return CLOSED
        return "" if session.endpoint else session.problem or NOT_YET

    def send(
        self, topic: bytes, body: bytes, msg_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Hand over one message; waits only while the window is full.

        Args:
            topic: see :meth:`Transport.send`; so are ``body`` and ``msg_id``.
            headers: more of them.

        Raises:
            BrokerRefused: an earlier message was refused, or we are; this one was not sent.
            NotConfirmed: the window stayed full; this one was not sent.
            NoPublisher: closed.
            ValueError: topic or id contain a NUL, which STOMP cannot express.
        """
        session = self._session
        if session is None:
            raise NoPublisher(CLOSED)
        self._raise_refusal("; the message at hand was not sent")
        text, msg_id = topic.decode("utf-8"), str(msg_id)
        if "\0" in text or "\0" in msg_id:
            raise ValueError(f"topic {text!r} cannot be sent through STOMP: it contains a NUL")
        session.submit(Outgoing(text, body, msg_id, self, headers), self._timeout)

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for confirmations; return how many are missing.

        Raises:
            BrokerRefused: a message was refused.
        """
        if self._session is None:
            return 0
        remain = self._session.flush(self, timeout)
        self._raise_refusal("")
        return remain

    def _raise_refusal(self, addition: str) -> None:
        error, self.refusal = self.refusal, None
        if error is not None:
            raise BrokerRefused(f"{error}{addition}", error.destination)

    def close(self, linger: float = 1.0) -> None:
        """Wait for confirmations for up to ``linger`` seconds; report what was not confirmed."""
        session, self._session = self._session, None
        if session is None:
            return
        deadline = time.monotonic() + linger
        while session.flush(self, max(0.0, deadline - time.monotonic())) and self.refusal:
            self.refusal = None
        remain = session.withdraw(self)
        if remain:
            self.undelivered += remain
            _log.error(
                "%d messages were not confirmed by a STOMP broker within %g s: they may not have"
                " arrived%s; start the broker, or correct 'stomp_uri'",
                remain, linger, session.problem and f" ({session.problem})",
            )  # fmt: skip
        _release(session)


_registry: dict[Settings, PublishingSession] = {}
_registry_lock = threading.Lock()
#: In a forked child: the connections of the parent, kept from being collected.
_inherited: list[Any] = []


def _acquire(settings: Settings) -> PublishingSession:
    """Return the session of this process for these settings; it is started if it is the first."""
    with _registry_lock:
        session = _registry.get(settings)
        if session is None:
            session = PublishingSession(settings)
            session.start()
            _registry[settings] = session
        session.users += 1
        return session


def _release(session: PublishingSession) -> None:
    """The last user ends the connection."""
    with _registry_lock:
        session.users -= 1
        last = not session.users
        if last and _registry.get(session.settings) is session:
            del _registry[session.settings]
    if last:
        session.stop()


def _forget_parent() -> None:
    """In a forked child: it makes its own connection; the parent's is not to be touched."""
    global _registry_lock
    _inherited.append(dict(_registry))
    _registry.clear()
    _registry_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
