"""What every transport offers: a few methods, a name, and counters."""

from __future__ import annotations

import abc


class Transport(abc.ABC):
    """Carries frames away.  A transport knows no envelope, no signature and no config key.

    Attributes:
        name: the key of ``endpoints`` (or the broker) that it serves, for messages to people.
        overflows: occasions at which a full queue made messages disappear.  libzmq does not tell
            how many messages it skips for a subscriber whose queue is full, so this is a number
            of episodes, not of messages.
        undelivered: messages that were accepted and are known to have been given up.
        may_wait: whether :meth:`send` may wait for somebody else.
    """

    name: str = ""
    overflows: int = 0
    undelivered: int = 0
    may_wait: bool = True

    @abc.abstractmethod
    def open(self) -> None:
        """Bind or connect.

        Raises:
            OSError: no address could be used.
        """

    @abc.abstractmethod
    def send(self, topic: bytes, body: bytes, msg_id: str = "") -> None:
        """Hand over one message.  Safe to call from any thread; never waits for a subscriber.

        Args:
            topic: of the message.
            body: its JSON.
            msg_id: its id once more, for what has headers.

        Raises:
            OSError: the transport demands a listener and there is none; nothing was sent.
        """

    def flush(self, timeout: float) -> int:
        """Wait up to ``timeout`` seconds for what is queued; return how many messages remain."""
        return 0

    def before_fork(self) -> None:  # noqa: B027  most have nothing to do
        """Prepare for a fork of this process, in the thread that forks; never waits."""

    @abc.abstractmethod
    def close(self, linger: float = 1.0) -> None:
        """Stop.  What is queued is still delivered for up to ``linger`` seconds."""
