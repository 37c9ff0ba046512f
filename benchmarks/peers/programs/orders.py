"""What the programs have in common: orders on standard input, answers on standard output, in JSON.

They run under the Pythons of their systems: nothing but the standard library is imported here.
Arguments: ``publisher`` or ``subscriber``; what the program was given, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

IS_PUBLISHER = sys.argv[1] == "publisher"
GIVEN: dict[str, Any] = json.loads(sys.argv[2])

# What a library prints is no answer.
_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def answer(**values: Any) -> None:
    """Write one line."""
    _answers.write(json.dumps(values) + "\n")


def _waits(order: dict[str, Any]) -> Iterator[float]:
    """Yield for each message the seconds until it is due."""
    due = time.monotonic()
    for _ in range(order["count"]):
        due += order["pause"]
        yield max(0.0, due - time.monotonic())


def _message(order: dict[str, Any]) -> dict[str, Any]:
    return {**GIVEN["payload"], "batch": order["batch"], "sent": time.monotonic()}


def publish(send: Callable[[Any], object], flush: Callable[[], object] = lambda: None) -> None:
    """Publish what is ordered, until the orders end.

    Args:
        send: publishes one message.
        flush: returns when what the library still holds has left it.
    """
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        for wait in _waits(order):
            if wait:
                time.sleep(wait)
            send(_message(order))
        flush()
        answer(began=began, ended=time.monotonic())


async def publish_async(
    read: Callable[[], Awaitable[str]],
    send: Callable[[Any], Awaitable[object]],
    flush: Callable[[], Awaitable[object]],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """The same for a library of coroutines."""
    while line := await read():
        order = json.loads(line)
        began = time.monotonic()
        for wait in _waits(order):
            if wait:
                await sleep(wait)
            await send(_message(order))
        await flush()
        answer(began=began, ended=time.monotonic())


class Inbox:
    """Counts the messages of the batch that is ordered, and answers when it is complete.

    Orders are read in a thread of their own; the process ends with them.
    """

    def __init__(self) -> None:
        self._batch, self._count, self._ended = -1, 0, 0.0
        self._latencies: list[float] = []
        self._complete = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def take(self, message: Any) -> None:
        """Take one message; one of another batch is a probe that came late."""
        if message.get("batch") != self._batch:
            return
        now = time.monotonic()
        self._latencies.append(now - message["sent"])
        if len(self._latencies) == self._count:
            self._ended = now
            self._complete.set()

    def _serve(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            self._complete.clear()
            self._latencies, self._count = [], order["count"]
            self._batch = order["batch"]
            answer(ready=True)
            self._complete.wait()
            answer(ended=self._ended, latencies=self._latencies if order["latencies"] else [])
        os._exit(0)
