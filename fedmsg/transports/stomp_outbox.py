"""Messages on their way to a broker: what is sent, what is confirmed, what is sent again.

No sockets and no locks: the session that owns the connection calls it under its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

#: Bytes of bodies that may be unconfirmed, besides the number of messages.
WINDOW_BYTES = 64 * 1024 * 1024
#: So many connections must end in an ERROR with a message alone in flight to blame it for that;
#: more of them, with pauses that grow to seconds, if the ERROR does not give a reason: RabbitMQ
#: answers so while it starts.
REFUSALS = 2
VAGUE_REFUSALS = 10


class Outgoing:
    """One message.

    Attributes:
        topic: full topic.
        body: JSON.
        msg_id: of the envelope; the same when it is sent again.
        source: whose message it is.
        headers: more of them than topic and id.
        refusals: connections that ended with an ERROR while it was alone in flight.
        vague_refusals: the same, and the ERROR gave no reason.
    """

    __slots__ = ("body", "headers", "msg_id", "refusals", "source", "topic", "vague_refusals")

    def __init__(
        self, topic: str, body: bytes, msg_id: str, source: Any,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.topic, self.body, self.msg_id, self.source = topic, body, msg_id, source
        self.headers = headers or {}
        self.refusals = self.vague_refusals = 0


class Outbox:
    """The window: messages in the order in which they were given, until they are confirmed.

    A broker that refuses a message may end the connection without saying which it was.  All that
    are unconfirmed are then sent again one at a time, which shows the one.

    Args:
        limit: messages that may be unconfirmed.
        limit_bytes: sum of their bodies; one message alone may be larger.
    """

    def __init__(self, limit: int, limit_bytes: int = WINDOW_BYTES) -> None:
        self._limit, self._limit_bytes = limit, limit_bytes
        self._waiting: deque[Outgoing] = deque()
        self._sent: dict[str, Outgoing] = {}
        self._singly = 0
        self._number = 0
        self._bytes = 0

    def __len__(self) -> int:
        """Messages that are not confirmed."""
        return len(self._waiting) + len(self._sent)

    @property
    def full(self) -> bool:
        """True if no message may be added."""
        return len(self) >= self._limit or self._bytes >= self._limit_bytes

    @property
    def ready(self) -> bool:
        """True if there is a message to send now."""
        return bool(self._waiting) and not (self._singly and self._sent)

    def add(self, message: Outgoing) -> None:
        """Take a message in."""
        self._bytes += len(message.body)
        self._waiting.append(message)

    def take(self) -> tuple[str, Outgoing]:
        """Return the next message to send and the receipt to ask for; only when :attr:`ready`."""
        message = self._waiting.popleft()
        self._number += 1
        receipt = str(self._number)
        self._sent[receipt] = message
        return receipt, message

    def confirm(self, receipt: str) -> Outgoing | None:
        """Return the message that a receipt confirms; None if it is not one of this connection."""
        message = self._sent.pop(receipt, None)
        if message is not None:
            self._done(message)
        return message

    def refuse(self, receipt: str = "", vague: bool = False) -> Outgoing | None:
        """The broker sent an ERROR: give the message up that was refused, if it is known.

        Args:
            receipt: the receipt that the ERROR names, empty if it names none.
            vague: the ERROR gives no reason.

        Returns:
            The message given up; None if it cannot be told yet.
        """
        if receipt in self._sent:
            return self.confirm(receipt)
        if len(self._sent) == 1:
            (alone, message), = self._sent.items()  # fmt: skip
            message.vague_refusals += vague
            message.refusals += not vague
            if message.refusals >= REFUSALS or message.vague_refusals >= VAGUE_REFUSALS:
                return self.confirm(alone)
        self._singly = max(self._singly, len(self._sent))
        return None

    def resend(self) -> None:
        """The connection is lost: whatever is unconfirmed will be sent again, in order."""
        self._waiting.extendleft(reversed(self._sent.values()))
        self._sent.clear()

    def withdraw(self, source: Any) -> int:
        """Forget the messages of a source; return how many there were."""
        before = len(self)
        self._waiting = deque(each for each in self._waiting if each.source is not source)
        self._sent = {key: each for key, each in self._sent.items() if each.source is not source}
        self._bytes = sum(len(each.body) for each in (*self._waiting, *self._sent.values()))
        return before - len(self)

    def _done(self, message: Outgoing) -> None:
        self._bytes -= len(message.body)
        self._singly = max(0, self._singly - 1)
