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

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put an item; with a ``timeout``, wait so many seconds for room.

        Without one the item is accepted at once, as in 1.1.7, whatever the limit: who puts may be
        the worker that would have to make the room.

        Raises:
            queue.Full: there was no room in time.
        """
        if not block or timeout is not None:
            super().put(item, block, timeout)
            return
        with self.mutex:
            self._put(item)
            self.unfinished_tasks += 1
            self.not_empty.notify()


def _weight(item: Any) -> int:
    return len(item) if type(item) is Batch else 1
