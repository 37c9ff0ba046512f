"""Expected topics: a warning when one has been silent for too long (``expected_topics``)."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from .. import options
from .producers import PollingProducer

_log = logging.getLogger("fedmsg.hub")


class Expected:
    """One topic that should be heard of.

    What arrives counts, before any check: a forged message ends a silence, too.

    Args:
        topic: a beginning of topics, as consumers have them.
        limit: seconds of silence after which it is missed.

    Attributes:
        silent: whether it is missed now.
        silences: how often it was.
    """

    #: Has a dispatcher hand over whole bursts, not one message after the other, with :meth:`take`.
    takes_batches = True

    def __init__(self, topic: str, limit: float) -> None:
        self.topic, self.limit = topic, limit
        self.silent, self.silences = False, 0
        self._heard = time.monotonic()
        self._lock = threading.Lock()

    def take(self, _frames: Any) -> None:
        """Messages came; called by the thread that receives."""
        self._heard = time.monotonic()
        if self.silent:
            self.look()

    def hear(self, _message: Any) -> None:
        """One message came, from a broker."""
        self.take(None)

    def silence(self) -> float:
        """Return the seconds since the last message, or since the start."""
        return time.monotonic() - self._heard

    def look(self) -> None:
        """Log the beginning or the end of a silence, each once."""
        with self._lock:
            silence = self.silence()
            if (silence >= self.limit) == self.silent:
                return
            self.silent = not self.silent
            self.silences += self.silent
            if self.silent:
                _log.warning(
                    "nothing on %r for %.0f s; expected_topics says at least every %g s",
                    self.topic, silence, self.limit,
                )  # fmt: skip
            else:
                _log.warning("%r is heard again", self.topic)


class Watchdog(PollingProducer):
    """Watches the topics of ``expected_topics``.

    Args:
        hub: has ``config``, ``subscribe`` and ``topics``.

    Attributes:
        expected: what is watched.
    """

    frequency = 1.0

    def __init__(self, hub: Any) -> None:
        wanted = options.get(hub.config, "expected_topics")
        self.expected = [Expected(topic, limit) for topic, limit in wanted.items()]
        for each in self.expected:
            hub.subscribe(each.topic, each.hear)
            hub.topics[each.topic].append(each.hear)
        # Often enough to be late by a tenth at most.
        self.frequency = min([1.0, *(each.limit / 10 for each in self.expected)])
        super().__init__(hub)

    def poll(self) -> None:
        """Look at every topic."""
        for each in self.expected:
            each.look()

    def __json__(self) -> dict[str, Any]:
        """Return the monitoring record, with the topics."""
        topics = [
            {"topic": each.topic, "limit": each.limit, "silent": each.silent,
             "silence": round(each.silence(), 1), "silences": each.silences}
            for each in self.expected
        ]  # fmt: skip
        return {**super().__json__(), "expected_topics": topics}
