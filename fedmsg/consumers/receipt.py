"""Telling a source what became of a message, so that a broker can be told."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from .inbox import Inbox

#: How often a delivery that waits for room looks whether the consumer is being stopped, seconds.
_LOOK = 0.2


class Receipt:
    """Goes with one message to one consumer.

    Args:
        done: called once the message is handled, with whether that went well.

    Attributes:
        accepted: the message is queued, and ``done`` will be called.
        abandoned: it was not, because the consumer is being stopped.
    """

    __slots__ = ("abandoned", "accepted", "done")

    def __init__(self, done: Callable[[bool], None]) -> None:
        self.done, self.accepted, self.abandoned = done, False, False


class Delivered(dict[str, Any]):
    """An envelope whose source wants to know what became of it."""

    receipt: Receipt | None = None


class Checked(Delivered):
    """An envelope that has been validated; it is not validated again.

    Attributes:
        checked: the consumer that did it.
    """

    checked: Any = None


def receipt_of(message: Any) -> Receipt | None:
    """Return the receipt that goes with a message, None if its source does not ask."""
    found = getattr(message, "receipt", None)
    return found if type(found) is Receipt else None


def enqueue(inbox: Inbox, message: Any, receipt: Receipt, stopping: threading.Event) -> bool:
    """Queue a message, waiting for room as long as it takes: meanwhile its broker keeps the others.

    Returns:
        False if the consumer was stopped meanwhile.
    """
    while not stopping.is_set():
        try:
            inbox.put(message, True, _LOOK)
        except queue.Full:
            continue
        receipt.accepted = True
        return True
    receipt.abandoned = True
    return False
