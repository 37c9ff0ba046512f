"""This bus: what publishers send, and what was missed of those that keep it."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any

import zmq

from .. import options
from .._limits import RateLimit
from .._visible import one_line
from ..exceptions import ReplayUnavailable
from ..replay import client
from ..replay.tracker import seq_id_of

_log = logging.getLogger("fedmsg.bridge")

Message = dict[str, Any]

#: What is counted besides the reasons for which messages are dropped.
EVENTS = ("recovered", "missing", "restarts", "replay_failures")

#: Shortest and longest pause after a replay service has failed, seconds.
_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
#: A row may be read between its being numbered and its being signed.
_SECOND_LOOK = 0.5


class Followed:
    """A publisher that numbers and keeps its messages: they are taken strictly in order.

    What arrives is only a hint, unless it is the very next: everything else is fetched from the
    store, and nothing is passed over while that cannot be asked.  A number that only the bus has is
    somebody's claim: nothing is counted up to it.

    Args:
        name: key of ``replay_endpoints``.
        config: the configuration.
        position: number of the last message that was taken; None: begin with what comes now.
        accept: says whether a message from the store is a valid one; None: it is not wanted.
        counts: gets ``recovered``, ``missing`` (numbers the store does not have or whose messages
            are not valid), ``restarts``.

    Attributes:
        position: see above, kept up to date.
    """

    def __init__(
        self, name: str, config: Mapping[str, Any], position: int | None,
        accept: Callable[[Message], bool | None], counts: Counter[str],
    ) -> None:  # fmt: skip
        self.name, self.position = name, position
        #: What the store itself has said; only if it says less, its numbering has begun again.
        self._newest = position
        self._config, self._accept, self._counts = config, accept, counts
        self._interval = options.get(config, "replay_idle_check") or 1.0
        self._look_at = self._ask_again = self._pause = 0.0
        self._limit = RateLimit(6)

    def arrived(self, message: Message, context: zmq.Context[Any]) -> Iterator[Message]:
        """Yield what is to be taken, now that a valid message has arrived.

        Its number may have been taken already: whether it has, its id tells.
        """
        number = seq_id_of(message)
        if number is None:
            yield message
            return
        if self.position is None:
            yield from self._catch_up(context, None)
            if self.position is None:
                self.position = number - 1
        if number <= self.position:
            yield message
            return
        last: int | None = number
        if number > self.position + 1:
            last = yield from self._catch_up(context, number)
        if number == self.position + 1:
            self.position = number
            self._look_at = time.monotonic() + self._interval
            yield message
        elif last is not None and number > last:
            # Not from that store, whatever it says: nothing may be counted up to it.
            yield message

    def look(self, context: zmq.Context[Any]) -> Iterator[Message]:
        """Yield what the store has and has not arrived; asks at bounded intervals."""
        if time.monotonic() >= self._look_at:
            yield from self._catch_up(context, None)

    def _catch_up(
        self, context: zmq.Context[Any], number: int | None
    ) -> Generator[Message, None, int | None]:
        """Yield what the store has above the position; return its last number, None if unknown.

        Args:
            context: where sockets are made.
            number: of a message that has arrived: how far to ask a service that does not say.
        """
        now = time.monotonic()
        if now < self._ask_again:
            return None
        self._look_at = now + self._interval
        try:
            last = client.newest(self.name, self._config, context)
            if last is None:
                if number is None or self.position is None:
                    return None
                # It does not say how far it goes: as far as what it has been shown to have.
                last = number if self._has(number, context) else self.position
            if self.position is None:
                self.position = last
            elif last < self.position:
                self._begin_again(last)
            self._newest = last
            yield from self._fetch(last + 1, context)
        except (ReplayUnavailable, ValueError) as error:
            self._failed(error)
            return None
        self._pause = 0.0
        return last

    def _has(self, number: int, context: zmq.Context[Any]) -> bool:
        """Return whether the store has a number."""
        try:
            found = list(client.get_replay(self.name, {"seq_id": number}, self._config, context))
        except ReplayUnavailable:
            raise
        except ValueError:  # no match
            return False
        return any(seq_id_of(each) == number for each in found)

    def _begin_again(self, last: int) -> None:
        """The store has less than the position."""
        if self._newest is None or last >= self._newest:
            # It never had more; what it has got since it was asked is looked at again.
            self.position = last if self._newest is None else self._newest
            return
        self._counts["restarts"] += 1
        _log.warning("the numbering of %r has begun again at %d", self.name, last)
        self.position = -1

    def _fetch(self, before: int, context: zmq.Context[Any]) -> Iterator[Message]:
        """Yield what is missing below a number, and go on to there.

        Raises:
            ReplayUnavailable, ValueError: the service failed; the position is where it was.
        """
        assert self.position is not None
        for found in client.missing(self.name, self.position, before, self._config, context):
            number = found["seq_id"]
            # Numbers begin at 1.
            self._counts["missing"] += number - max(self.position, 0) - 1
            good = self._accepted(found, context)
            self.position = number
            if good is not None:
                self._counts["recovered"] += 1
                yield good
        self._counts["missing"] += max(0, before - 1 - max(self.position, 0))
        self.position = max(self.position, before - 1)

    def _accepted(self, found: Message, context: zmq.Context[Any]) -> Message | None:
        """Return a message that may cross, None if it is not wanted or not valid."""
        verdict = self._accept(found)
        if verdict is False and "signature" not in found:
            time.sleep(_SECOND_LOOK)
            query = {"seq_id": found["seq_id"]}
            for again in client.get_replay(self.name, query, self._config, context):
                if again.get("seq_id") == found["seq_id"]:
                    found, verdict = again, self._accept(again)
        if verdict is False:
            self._counts["missing"] += 1
        return found if verdict else None

    def _failed(self, error: Exception) -> None:
        self._counts["replay_failures"] += 1
        self._pause = min(max(_PAUSE, self._pause * 2), _LONGEST_PAUSE)
        self._ask_again = self._look_at = time.monotonic() + self._pause
        if self._limit.allow():
            _log.warning("cannot fetch what is missing of %r: %s", self.name, one_line(error))
