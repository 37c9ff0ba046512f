"""The threads of a consumer: begun by its hub, and waited for at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any


class Threads:
    """Functions that run in threads of their own once a hub runs.

    Args:
        owner: name of the consumer.

    Attributes:
        started: our hub has started them.
        given: they are the business of Moksha's reactor.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._waiting: list[tuple[str, Callable[[], Any]]] = []
        self._running: list[threading.Thread] = []
        self.started = self.given = False

    def add(self, name: str, function: Callable[[], Any]) -> None:
        """Run a function when the hub does."""
        self._waiting.append((name, function))

    def start(self) -> None:
        """Start what has been added; our hub calls this when it begins to receive."""
        self.started = True
        waiting, self._waiting = self._waiting, []
        for name, function in waiting:
            name = f"fedmsg-{name}-{self._owner}"
            thread = threading.Thread(target=function, name=name, daemon=True)
            self._running.append(thread)
            thread.start()

    def give_to_reactor(self) -> None:
        """Under a Moksha hub: have its reactor run what was added, once it runs itself.

        Its thread pool is joined when it ends, so that what is queued is consumed; daemon threads
        would end with the process.
        """
        reactor = getattr(sys.modules.get("moksha.hub.reactor"), "reactor", None)
        if reactor is not None:
            self.given = True
            for _, function in self._waiting:
                reactor.callInThread(function)
            self._waiting = []

    def join(self, deadline: float) -> None:
        """Wait for the threads until a time of ``time.monotonic()``."""
        for thread in self._running:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def __contains__(self, thread: threading.Thread) -> bool:
        return thread in self._running
