"""What to do with each numbered message of one publisher: the decisions, without any socket.

Numbers (``seq_id``) come from the publisher's store.  A subscriber may see them with gaps, twice
(live and from the store), out of order (several sockets under one name), or beginning again (a
new store).  Specification: replay.md 4, R2 and R6.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

#: Delivered messages that are remembered.
REMEMBERED = 10_000
#: So far below the last one, or so many drops in a row, and the numbering has begun again.
RESTART_DISTANCE = 1_000
RESTART_DROPS = 100
#: Ranges of numbers that are remembered to be asked for again.
MOST_HOLES = 1_000
_LARGEST = 2**63 - 1


class Decision(enum.Enum):
    """What becomes of a message."""

    #: It is the next one, or one that was missing.
    DELIVER = "deliver"
    #: Messages between the last one and this one are missing: fetch them first.
    GAP = "gap"
    #: It was delivered already.
    DROP = "drop"
    #: The numbering has begun again: deliver, and count from here.
    RESTART = "restart"


def seq_id_of(msg: Mapping[str, Any]) -> int | None:
    """Return the number of a message; None if it has none, or one that no store gives out."""
    value = msg.get("seq_id")
    return value if type(value) is int and 0 <= value <= _LARGEST else None


class Tracker:
    """Follows the numbers of one publisher.

    Args:
        last: the highest number handled, -1 if none was seen yet.

    Attributes:
        last: the same, kept up to date.
    """

    def __init__(self, last: int = -1) -> None:
        self.last = last
        #: Nothing is known of this number and those below it: they count as delivered.
        self._floor = last
        self._drops = 0
        #: Number -> msg_id of what was delivered above the floor.
        self._delivered: OrderedDict[int, Any] = OrderedDict()

    def begin(self, last: int) -> None:
        """Count from ``last``, though nothing was seen: what is on its way is still delivered."""
        self.last, self._floor = last, -1

    def decide(self, seq_id: int, msg_id: Any) -> Decision:
        """Decide on a message that has arrived, and take its delivery for granted.

        After GAP, report what was fetched to :meth:`recovered`, and then call :meth:`pass_gap`.

        Args:
            seq_id: its number.
            msg_id: its identity, whatever the message has there.
        """
        decision = self._decision(seq_id, msg_id)
        if decision is Decision.RESTART:
            self.last = self._floor = seq_id
        if decision in (Decision.DELIVER, Decision.RESTART):
            if self.last < 0:
                self._floor = seq_id
            self._deliver(seq_id, msg_id)
        return decision

    def _decision(self, seq_id: int, msg_id: Any) -> Decision:
        if seq_id in self._delivered:
            known = self._delivered[seq_id]
            if known is None or not isinstance(msg_id, str):
                return self._unsure()
            if known == msg_id:
                return Decision.DROP
            self._delivered.clear()
            return Decision.RESTART
        if self.last < 0 or seq_id == self.last + 1:
            return Decision.DELIVER
        if seq_id > self.last:
            return Decision.GAP
        if self.last - seq_id > RESTART_DISTANCE:
            return Decision.RESTART
        return Decision.DELIVER if seq_id > self._floor else self._unsure()

    def _unsure(self) -> Decision:
        """Drop, but not for ever."""
        self._drops += 1
        return Decision.RESTART if self._drops >= RESTART_DROPS else Decision.DROP

    def recovered(self, seq_id: int, msg_id: Any) -> bool:
        """Return whether a message fetched for a gap is to be delivered, and count on it."""
        if seq_id <= self.last or self._delivered.get(seq_id, self) in (None, msg_id):
            return False
        self._deliver(seq_id, msg_id)
        return True

    def pass_gap(self, seq_id: int, msg_id: Any) -> None:
        """Deliver the message that showed a gap; what is still missing may come late."""
        self._deliver(seq_id, msg_id)

    def late(self, seq_id: int, msg_id: Any) -> bool:
        """Return whether a message of an old gap is to be delivered, and count on it."""
        if seq_id in self._delivered:
            return False
        self._deliver(seq_id, msg_id)
        return True

    def restart(self, last: int) -> None:
        """Follow a new numbering, of which everything above ``last`` is to be delivered."""
        self.last = self._floor = last
        self._drops = 0
        self._delivered.clear()

    def _deliver(self, seq_id: int, msg_id: Any) -> None:
        self._drops = 0
        self.last = max(self.last, seq_id)
        self._delivered[seq_id] = msg_id if isinstance(msg_id, str) else None
        if len(self._delivered) > REMEMBERED:
            oldest, _ = self._delivered.popitem(last=False)
            if oldest < self.last:
                self._floor = max(self._floor, oldest)


class Holes:
    """Numbers that were passed over because they could not be asked for: ranges, in order.

    Attributes:
        abandoned: numbers given up because there were more than :data:`MOST_HOLES` ranges.
    """

    def __init__(self) -> None:
        self._ranges: list[list[int]] = []
        self.abandoned = 0

    @property
    def lowest(self) -> tuple[int, int] | None:
        """First and last number of the lowest range, None if there is none."""
        return (self._ranges[0][0], self._ranges[0][1]) if self._ranges else None

    def add(self, first: int, last: int) -> None:
        """Note a range above all others."""
        if first > last:
            return
        if self._ranges and self._ranges[-1][1] + 1 == first:
            self._ranges[-1][1] = last
            return
        self._ranges.append([first, last])
        if len(self._ranges) > MOST_HOLES:
            low, high = self._ranges.pop(0)
            self.abandoned += high - low + 1

    def fill(self, number: int) -> bool:
        """Take one number out, wherever it is; return whether it was in."""
        for index, (first, last) in enumerate(self._ranges):
            if first <= number <= last:
                parts = [[first, number - 1], [number + 1, last]]
                self._ranges[index : index + 1] = [part for part in parts if part[0] <= part[1]]
                return True
        return False

    def forget(self, upto: int) -> None:
        """Take out every number up to one."""
        self._ranges = [[max(first, upto + 1), last] for first, last in self._ranges if last > upto]

    def clear(self) -> None:
        """Take out all."""
        self._ranges = []
