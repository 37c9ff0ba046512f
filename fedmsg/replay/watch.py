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
from ..exceptions import ReplayUnavailable
from .client import Config, Message, missing, newest
from .tracker import Decision, Tracker, seq_id_of

__all__ = ["Watched", "check_for_replay"]

_log = logging.getLogger("fedmsg.replay")

_REPORTS_A_MINUTE = 60
#: At most this many times as long as a look in vain takes, until the next one.
_RARELY = 64


class Watched:
    """Gap recovery for one name: what to deliver when a message arrives, or when none does.

    Args:
        name: key of ``replay_endpoints``.
        config: the configuration.
        last: the highest number handled, -1 if none was seen yet.
        counts: where to count; default: a counter of its own.

    Attributes:
        tracker: the decisions, and ``tracker.last``.
        counts: ``recovered``, ``duplicates``, ``missing`` (numbers that the store did not have or
            that could not be asked for), ``restarts``.
    """

    def __init__(
        self, name: str, config: Config, last: int = -1, counts: Counter[str] | None = None
    ) -> None:
        self.name = name
        self.tracker = Tracker(last)
        self.counts: Counter[str] = Counter() if counts is None else counts
        self._config = config
        self._limit = RateLimit(_REPORTS_A_MINUTE)
        self._ask_again = self._look_again = 0.0
        self._failures = 0

    def arrived(
        self,
        msg: Message,
        context: zmq.Context[Any] | None = None,
        accept: Callable[[Message], bool] = lambda msg: True,
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
        decision = self.tracker.decide(number, msg_id)
        if decision is Decision.DROP:
            self.counts["duplicates"] += 1
            return
        if decision is Decision.RESTART:
            self.counts["restarts"] += 1
            self._report("the numbering of %r has begun again, at %d", self.name, number)
        if decision is Decision.GAP:
            yield from self._fetch(number, context, accept)
            self.tracker.pass_gap(number, msg_id)
        yield msg

    def idle(
        self,
        context: zmq.Context[Any] | None = None,
        accept: Callable[[Message], bool] = lambda msg: True,
    ) -> Iterator[Message]:
        """Ask the store for its highest number, and yield what has been missed up to it.

        The first time, if nothing was seen yet, counting begins there.

        Raises:
            zmq.ContextTerminated: ``context`` ended meanwhile.
        """
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
            self._report("cannot look for missing messages of %r: %s", self.name, error)
            return
        self._failures = 0
        if last is None:
            return
        if self.tracker.last < 0:
            self.tracker.begin(last)
        elif last > self.tracker.last and (yield from self._fetch(last + 1, context, accept)):
            self.tracker.last = max(self.tracker.last, last)

    def _fetch(
        self, before: int, context: zmq.Context[Any] | None, accept: Callable[[Message], bool]
    ) -> Generator[Message, None, bool]:
        """Yield what is missing below a number; return whether the service has answered."""
        after, began = self.tracker.last, time.monotonic()
        absent = before - after - 1
        problem: Exception | None = None
        try:
            if began < self._ask_again:
                raise ReplayUnavailable("the service failed a moment ago")
            for found in missing(self.name, after, before, self._config, context):
                if accept(found) and self.tracker.recovered(found["seq_id"], found.get("msg_id")):
                    absent -= 1
                    self.counts["recovered"] += 1
                    yield found
        except ReplayUnavailable as error:
            problem, now = error, time.monotonic()
            # No more than half of the time is spent on waiting in vain.
            pause = min(now - began, options.get(self._config, "replay_timeout"))
            self._ask_again = max(self._ask_again, now + pause)
        except ValueError as error:
            problem = error
        if absent:
            self.counts["missing"] += absent
            self._report(
                "%d messages of %r between %d and %d are missing: %s",
                absent, self.name, after, before, problem or "the store has no valid ones",
            )  # fmt: skip
        return problem is None

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
