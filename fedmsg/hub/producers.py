"""Producers: what a hub runs beside its consumers, by itself or at intervals (hub.md 5)."""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import Any

from ..consumers.plugin import Plugin
from ..consumers.values import database_of

_log = logging.getLogger("moksha.hub")

#: Longest wait for a poll that is running, seconds.
_STOP_SECONDS = 5.0
#: ``die`` may be set by anybody: it is looked at this often, seconds.
_LOOK_SECONDS = 5.0
#: Pause after a failure where there is none between polls, seconds.
_FAILURE_SECONDS = 1.0


class Producer(Plugin):
    """Sends messages of its own accord.

    Args:
        hub: has ``config`` and ``send_message``.
    """

    _initialized = False
    _exception_count = 0

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.log = _log
        self.engine, self.DBSession = database_of(self)
        self._initialized = True

    def __json__(self) -> dict[str, Any]:
        """Return the monitoring record (wire.md 4)."""
        return {
            "name": type(self).__name__,
            "module": type(self).__module__,
            "initialized": self._initialized,
            "exceptions": self._exception_count,
        }


class PollingProducer(Producer):
    """Calls :meth:`poll` again and again, in a thread of its own.

    An exception in it is logged and counted; the next success restarts the counter.

    Attributes:
        frequency: seconds (a number or a timedelta) from one poll to the next; None or 0 polls
            without a pause.
        now: poll once at the start; otherwise the first poll is one period later.
        die: true ends the thread.
        last_ran: when the latest poll began, seconds since the epoch; None before the first.
    """

    frequency: Any = None
    now = False
    die = False

    def __init__(self, hub: Any) -> None:
        super().__init__(hub)
        if isinstance(self.frequency, timedelta):
            self.frequency = self.frequency.total_seconds()
        self.frequency = self.frequency or 0
        self.last_ran: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"fedmsg-producer-{type(self).__name__}", daemon=True
        )
        self._thread.start()

    def poll(self) -> None:
        """Do the work of one period.

        Raises:
            NotImplementedError: a subclass did not override it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement 'poll'")

    def _run(self) -> None:
        due = time.monotonic() + (0 if self.now else self.frequency)
        while self._wait_until(due):
            succeeded = self._poll()
            # From when it was due: what a poll takes does not add up.
            due = max(due + self.frequency, time.monotonic())
            if not succeeded and not self.frequency:
                due += _FAILURE_SECONDS

    def _wait_until(self, due: float) -> bool:
        """Wait for the time of the next poll; return False if there is none any more."""
        while not self.die:
            left = due - time.monotonic()
            if self._stop.wait(min(max(0.0, left), _LOOK_SECONDS)):
                return False
            if left <= _LOOK_SECONDS:
                return not self.die
        return False

    def _poll(self) -> bool:
        self.last_ran = time.time()
        try:
            self.poll()
        except BaseException:  # SystemExit too: it would end the thread in silence
            self._exception_count += 1
            self.log.exception("%s failed; it goes on", type(self).__name__)
            return False
        self._exception_count = 0
        return True

    def stop(self) -> None:
        """End the thread, after the poll that is running, and close the hub."""
        self.die = True
        if hasattr(self, "_stop"):
            self._stop.set()
            if self._thread is not threading.current_thread():
                self._thread.join(_STOP_SECONDS)
        super().stop()

    def __json__(self) -> dict[str, Any]:
        """Return the monitoring record (wire.md 4)."""
        return {
            **super().__json__(),
            "frequency": self.frequency,
            "now": self.now,
            "last_ran": getattr(self, "last_ran", None),
        }
