"""Listening on both sides of a bridge."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from .. import options
from ..core import FedMsgContext
from .checking import Checker
from .far import Inlet
from .forms import Rejected
from .matching import Matcher

_log = logging.getLogger("fedmsg.bridge")

BUS, BROKER = 0, 1
_END_SECONDS = 5.0


class Listening:
    """Hears what is on the bus and on the broker, in two threads.

    Args:
        config: the configuration.
        matcher: is told.
        queue: durable queue, or destination, on the broker; empty: what the configuration says.

    Attributes:
        changed: notified at every message.
        error: what ended the listening, if anything did.
    """

    def __init__(self, config: Mapping[str, Any], matcher: Matcher, queue: str) -> None:
        self.matcher, self.changed = matcher, threading.Condition()
        self.error: Exception | None = None
        self.heard_at = time.monotonic()
        self._inlet = Inlet(config, queue)
        self._checker = Checker(config, False, Counter())
        more = {"replay_idle_check": options.get(config, "replay_idle_check") or 1.0}
        self._context = FedMsgContext(
            **{**config, **more, "mute": True, "timeout": 0, "name": "relay_inbound"}
        )
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name="fedmsg-verify", daemon=True)
            for work in (self._hear_bus, self._hear_broker)
        ]

    def start(self, seconds: float) -> bool:
        """Begin; return whether the broker's side was ready within so many seconds."""
        for thread in self._threads:
            thread.start()
        return self._inlet.wait_ready(seconds)

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:
            with self.changed:
                self.error = error
                self.changed.notify_all()

    def _hear_bus(self) -> None:
        for _name, _endpoint, topic, message in self._context.tail_messages(topic=""):
            self._tell(BUS, topic, message)

    def _hear_broker(self) -> None:
        try:
            for delivery in self._inlet.deliveries():
                try:
                    message = self._inlet.message(delivery)
                    self._tell(BROKER, message.get("topic"), message)
                except Rejected as error:
                    self._checker.reject(error, delivery.topic)
                delivery.ack()
        finally:
            self._inlet.close()

    def _tell(self, side: int, topic: Any, message: dict[str, Any]) -> None:
        try:
            msg_id = self._checker.check(topic, message)
        except Rejected as error:
            self._checker.reject(error, topic)
            return
        with self.changed:
            self.heard_at = time.monotonic()
            self.matcher.heard(side, msg_id, self.heard_at)
            self.changed.notify_all()

    def close(self) -> None:
        """End both; idempotent."""
        self._inlet.stop()
        self._context.destroy()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_END_SECONDS)
