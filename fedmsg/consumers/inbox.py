"""The queue between a hub and the workers of a consumer."""

from __future__ import annotations

import queue
from collections import deque
from typing import Any


class Batch(list[list[bytes]]):
    """The frames of several messages, handed over at one go."""


class Inbox(queue.Queue[Any]):
    """A queue whose size and limit count messages, of which a :class:`Batch` holds several.

    A batch is accepted whole as long as there is room for one message.
    """

    def _init(self, maxsize: int) -> None:
        self.queue: deque[Any] = deque()
        self._messages = 0

    def _qsize(self) -> int:
        return self._messages

    def _put(self, item: Any) -> None:
        self.queue.append(item)
        self._messages += _weight(item)

    def _get(self) -> Any:
        item = self.queue.popleft()
        self._messages -= _weight(item)
        return item

    def put_always(self, item: Any) -> None:
        """Put an item even if the queue is full; never waits."""
        with self.mutex:
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()


def _weight(item: Any) -> int:
    return len(item) if type(item) is Batch else 1
