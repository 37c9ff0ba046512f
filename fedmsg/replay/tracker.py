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

    def _deliver(self, seq_id: int, msg_id: Any) -> None:
        self._drops = 0
        self.last = max(self.last, seq_id)
        self._delivered[seq_id] = msg_id if isinstance(msg_id, str) else None
        if len(self._delivered) > REMEMBERED:
            oldest, _ = self._delivered.popitem(last=False)
            if oldest < self.last:
                self._floor = max(self._floor, oldest)
