"""Following a publisher: what to deliver, now that a message has arrived (replay.md 4)."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from typing import Any

import zmq

from .. import options
from .._limits import RateLimit
from .._visible import one_line
from ..exceptions import ReplayUnavailable
from .client import WINDOW, Config, Message, missing, newest
from .tracker import RESTART_DISTANCE, Decision, Holes, Tracker, seq_id_of

__all__ = ["Watched", "check_for_replay"]

_log = logging.getLogger("fedmsg.replay")

_REPORTS_A_MINUTE = 60
#: At most this many times as long as a look in vain takes, until the next one.
_RARELY = 64
#: So often the pause doubles after which what was passed over is asked for again.
_LATE_DOUBLINGS = 5
_REMEDY = "is fedmsg-replay-server running at this publisher's address in replay_endpoints?"

Accept = Callable[[Message], bool]


def _all(_msg: Message) -> bool:
    return True


class Watched:
    """Gap recovery for one name: what to deliver when a message arrives, or when none does.

    What cannot be fetched is passed over and asked for again later; it is delivered late then.

    Args:
        name: key of ``replay_endpoints``.
        config: the configuration.
        last: the highest number handled, -1 if none was seen yet.
        counts: where to count; default: a counter of its own.

    Attributes:
        tracker: the decisions, and ``tracker.last``.
        holes: what is asked for again.
        looked: whether the service has said what its highest number is, and given what was
            missing up to it.
        counts: ``recovered``, ``duplicates``, ``missing`` (numbers that the store did not have or
            that could not be asked for so far), ``restarts``.
    """

    def __init__(
        self, name: str, config: Config, last: int = -1, counts: Counter[str] | None = None
    ) -> None:
        self.name = name
        self.tracker = Tracker(last)
        self.holes = Holes()
        self.looked = False
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._config = config
        self._limit = RateLimit(_REPORTS_A_MINUTE)
        self._ask_again = self._look_again = self._late_again = 0.0
        self._failures = self._late_failures = 0

    def arrived(
        self,
        msg: Message,
        context: zmq.Context[Any] | None = None,
        accept: Accept = _all,
    ) -> Iterator[Message]:
        """Yield what is to be delivered, in order, now that a message has arrived.

        That is the message alone, nothing if it was delivered before, or first what was missing.
        An error of the service is logged, and the message is delivered.

        Args:
            msg: the message, already validated.
            context: where sockets are made.
            accept: validates a recovered message; one that it refuses counts as missing.

        Raises:
            zmq.ContextTerminated: ``context`` ended meanwhile.
        """
        number, msg_id = seq_id_of(msg), msg.get("msg_id")
        if number is None:
            yield msg
            return
        yield from self.late(context, accept)
        if self.holes.fill(number):
            self.tracker.pass_gap(number, msg_id)
            yield msg
        elif (yield from self._precede(number, msg_id, context, accept)):
            yield msg

    def _precede(
        self, number: int, msg_id: Any, context: zmq.Context[Any] | None, accept: Accept
    ) -> Generator[Message, None, bool]:
        """Yield what is missing below a number; return whether its message is to be delivered."""
        decision = self.tracker.decide(number, msg_id)
        if decision is Decision.DROP:
            self.counts["duplicates"] += 1
            return False
        if decision is Decision.RESTART:
            self.holes.clear()
            self.counts["restarts"] += 1
            self._report("the numbering of %r has begun again, at %d", self.name, number)
        if decision is Decision.GAP and self._is_beyond(number, context):
            # A number is in the store before its message is on the way: this is none of its.
            self._report("number %d is above all in the store of %r", number, self.name)
        elif decision is Decision.GAP:
            if not (yield from self._fetch(number, context, accept)):
                self._pass_over(self.tracker.last + 1, number - 1)
            self.tracker.pass_gap(number, msg_id)
        return True

    def _is_beyond(self, number: int, context: zmq.Context[Any] | None) -> bool:
        """Whether a number that is far above the last one is above all in the store."""
        began = time.monotonic()
        if number - self.tracker.last <= WINDOW or began < self._ask_again:
            return False
        try:
            last = newest(self.name, self._config, context)
        except ReplayUnavailable:
            self._rest(began)
            return False
        # 0: perhaps all of them are so old that they have been deleted.
        return last is not None and 0 < last < number

    def _rest(self, began: float) -> None:
        """Spend no more than half of the time on waiting in vain."""
        now = time.monotonic()
        pause = min(now - began, options.get(self._config, "replay_timeout"))
        self._ask_again = max(self._ask_again, now + pause)

    def late(
        self, context: zmq.Context[Any] | None = None, accept: Accept = _all
    ) -> Iterator[Message]:
        """Yield what was passed over, if it is time to ask for it again and the service answers.

        Raises:
            zmq.ContextTerminated: ``context`` ended meanwhile.
        """
        while (hole := self.holes.lowest) and time.monotonic() >= self._late_again:
            first, last = hole
            began = time.monotonic()
            try:
                for found in missing(self.name, first - 1, last + 1, self._config, context):
                    number, msg_id = found["seq_id"], found.get("msg_id")
                    self.holes.forget(number)
                    if accept(found) and self.tracker.late(number, msg_id):
                        self.counts["recovered"] += 1
                        self.counts["missing"] -= 1
                        yield found
            except ValueError as error:
                self._try_later(began)
                text = "messages of %r are still missing: %s; %s"
                self._report(text, self.name, one_line(error), _REMEDY)
                return
            self.holes.forget(last)
            self._late_failures = 0

    def _try_later(self, began: float) -> None:
        now = time.monotonic()
        pause = max(now - began, options.get(self._config, "replay_timeout"))
        self._late_again = now + pause * 2 ** min(self._late_failures, _LATE_DOUBLINGS)
        self._late_failures += 1

    def idle(
        self, context: zmq.Context[Any] | None = None, accept: Accept = _all
    ) -> Iterator[Message]:
        """Ask the store for its highest number, and yield what has been missed up to it.

        The first time, if nothing was seen yet, counting begins there.

        Raises:
            zmq.ContextTerminated: ``context`` ended meanwhile.
        """
        yield from self.late(context, accept)
        began = time.monotonic()
        if began < self._look_again:
            return
        try:
            last = newest(self.name, self._config, context)
        except ReplayUnavailable as error:
            now = time.monotonic()
            # Others wait meanwhile: a service that is away is tried less and less often.
            self._failures += 1
            self._look_again = now + (now - began) * min(2**self._failures, _RARELY)
            self._report(
                "cannot look for missing messages of %r: %s; %s",
                self.name, one_line(error), _REMEDY,
            )  # fmt: skip
            return
        self._failures = 0
        if (yield from self._catch_up(last, context, accept)):
            self.looked = True
        else:
            self._look_again = time.monotonic() + options.get(self._config, "replay_timeout")

    def _catch_up(
        self, last: int | None, context: zmq.Context[Any] | None, accept: Accept
    ) -> Generator[Message, None, bool]:
        """Yield what is missing up to the store's last number; return whether it could be had."""
        if last is None:
            return True
        if 0 < last < self.tracker.last:
            self._begin_again(last)
        if self.tracker.last < 0:
            self.tracker.begin(last)
        elif last > self.tracker.last:
            if not (yield from self._fetch(last + 1, context, accept)):
                return False
            self.tracker.last = max(self.tracker.last, last)
        return True

    def _begin_again(self, last: int) -> None:
        """The store ends below what was seen: it is another one, or has lost its latest messages.

        A little of it may be delivered again, rather than too little.
        """
        known = self.tracker.last
        begin = 0 if known - last > RESTART_DISTANCE else max(0, last - RESTART_DISTANCE)
        self.holes.clear()
        self.tracker.restart(begin)
        self.counts["restarts"] += 1
        self._report(
            "the store of %r ends at %d, and %d was seen: its numbering has begun again; what it"
            " has above %d is fetched", self.name, last, known, begin,
        )  # fmt: skip

    def _fetch(
        self, before: int, context: zmq.Context[Any] | None, accept: Accept
    ) -> Generator[Message, None, bool]:
        """Yield what is missing below a number; return whether the service has answered."""
        after, began = self.tracker.last, time.monotonic()
        absent = before - after - 1
        problem: Exception | None = None
        try:
            if began < self._ask_again:
                raise ReplayUnavailable("the service failed a moment ago")
            for found in missing(self.name, after, before, self._config, context):
                number = found["seq_id"]
                if not accept(found):
                    # Perhaps it is only being signed.
                    self._pass_over(number, number)
                elif self.tracker.recovered(number, found.get("msg_id")):
                    absent -= 1
                    self.counts["recovered"] += 1
                    yield found
        except ReplayUnavailable as error:
            problem = error
            self._rest(began)
        except ValueError as error:
            problem = error
        if absent:
            self.counts["missing"] += absent
            self._report(
                "%d messages of %r between %d and %d are missing: %s",
                absent, self.name, after, before,
                f"{one_line(problem)}; they are asked for again; {_REMEDY}" if problem
                else "the store has no valid ones",
            )  # fmt: skip
        return problem is None

    def _pass_over(self, first: int, last: int) -> None:
        """Ask for a range of numbers again, later."""
        if self.holes.lowest is None:
            self._late_failures = 0
            self._try_later(time.monotonic())
        before = self.holes.abandoned
        self.holes.add(first, last)
        if self.holes.abandoned > before:
            self._report("too many gaps of %r: the oldest is given up", self.name)

    def _report(self, text: str, *arguments: object) -> None:
        if self._limit.allow():
            _log.warning(text, *arguments)


class _Last(int):
    """A number in the dict of :func:`check_for_replay`, with what else is known of its name."""

    watched: Watched


def check_for_replay(
    name: str,
    names_to_seq_id: dict[str, int],
    msg: Message,
    config: Config,
    context: zmq.Context[Any] | None = None,
) -> list[Message]:
    """Return what is to be delivered now that a message has arrived, in order (replay.md 4).

    Args:
        name: where the message came from, a key of ``replay_endpoints``.
        names_to_seq_id: watched name to its highest number, -1 for none; kept up to date.
        msg: the message.
        config: the configuration.
        context: where sockets are made.

    Returns:
        The message alone if its name is not watched, it has no number, or nothing is missing;
        nothing if it was delivered before; else first what was missing.  If that cannot be
        fetched, the reason is logged.
    """
    previous = names_to_seq_id.get(name)
    if previous is None:
        return [msg]
    watched = getattr(previous, "watched", None) or Watched(name, config, int(previous))
    found = list(watched.arrived(msg, context))
    last = _Last(watched.tracker.last)
    last.watched = watched
    names_to_seq_id[name] = last
    return found
