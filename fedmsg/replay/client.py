"""Asking a publisher's replay service, and following the publisher (replay.md 1, 3 and 4)."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import zmq

from .. import encoding, envelope, options, transports, utils
from .._limits import RateLimit
from ..exceptions import ConfigurationError, FrameError, ReplayUnavailable
from ..transports import addresses
from .tracker import Decision, Tracker, seq_id_of

__all__ = ["WINDOW", "Watched", "check_for_replay", "get_replay", "missing", "newest"]

_log = logging.getLogger("fedmsg.replay")

#: Messages asked for at a time.
WINDOW = 1_000
_REPORTS_A_MINUTE = 60

Config = Mapping[str, Any]
Message = dict[str, Any]


def get_replay(
    name: str, query: Mapping[str, Any], config: Config, context: zmq.Context[Any] | None = None
) -> Iterator[Message]:
    """Yield the messages with which a replay service answers a query (replay.md 1).

    Nothing happens before the first iteration.  The answer is received completely before the
    first message is yielded, so that nothing is open while the caller works.

    Args:
        name: key of ``replay_endpoints``.
        query: such as ``{"seq_id_range": (4, 9)}``.
        config: the configuration; ``replay_timeout`` (seconds) bounds the wait.
        context: where the socket is made; default: one of its own, with ``io_threads``.

    Raises:
        ReplayUnavailable: no address is configured, it is malformed or cannot be reached, or the
            answer did not come in time; an OSError and a ValueError.
        ValueError: the service refused; the argument is its answer, bytes.
        zmq.ContextTerminated: ``context`` ended meanwhile.
    """
    frames = _ask(name, query, config, context)
    for frame in frames:
        try:
            yield envelope.decode_body(frame)
        except FrameError as error:
            if len(frames) == 1:
                raise ValueError(frame) from error


def _ask(
    name: str, query: Mapping[str, Any], config: Config, context: zmq.Context[Any] | None
) -> Sequence[bytes]:
    """Return the frames of one answer; everything is closed again."""
    endpoint = _endpoint(name, config)
    timeout = options.get(config, "replay_timeout")
    target = _target(endpoint, timeout)
    request = encoding.dumps(query).encode("ascii")
    used: zmq.Context[Any] = zmq.Context(config["io_threads"]) if context is None else context
    try:
        sock = used.socket(zmq.REQ)
        try:
            for option, value in _socket_options(config, target):
                sock.setsockopt(option, value)
            sock.connect(target)
            sock.send(request)
            if not sock.poll(timeout * 1000):
                raise ReplayUnavailable(
                    f"the replay endpoint of {name}, {endpoint}, did not answer within"
                    f" {timeout:g} s (replay_timeout)"
                )
            answer: list[bytes] = sock.recv_multipart(zmq.NOBLOCK)
            return answer
        finally:
            sock.close(linger=0)
    except zmq.ContextTerminated:
        raise
    except zmq.ZMQError as error:
        raise _cannot_connect(error) from error
    finally:
        if context is None:
            used.term()


def _endpoint(name: str, config: Config) -> str:
    found = transports.as_list((config.get("replay_endpoints") or {}).get(name))
    if not found or not found[0]:
        raise ReplayUnavailable(
            f"No appropriate replay endpoint found for {name} (set replay_endpoints[{name!r}])"
        )
    return found[0]


def _target(endpoint: str, timeout: float) -> str:
    """Return the numeric address to connect to."""
    try:
        address = addresses.parse(endpoint)
    except ConfigurationError as error:
        raise _cannot_connect(error) from error
    host = addresses.lookup_within(address, timeout)
    if host is None:
        raise _cannot_connect(f"{endpoint} does not resolve")
    return addresses.to_connect(address, host)


def _cannot_connect(reason: object) -> ReplayUnavailable:
    return ReplayUnavailable(f"Error when connecting to the replay endpoint: '{reason}'")


def _socket_options(config: Config, target: str) -> Iterator[tuple[int, int]]:
    yield zmq.LINGER, 0
    yield zmq.MAXMSGSIZE, options.get(config, "max_message_size") or -1
    yield zmq.IPV6, int(addresses.is_ipv6(target))
    yield from utils.given_options(config, utils.TCP_KEEPALIVE)


# -- ranges ------------------------------------------------------------------------------------


def newest(name: str, config: Config, context: zmq.Context[Any] | None = None) -> int | None:
    """Return the highest number in the store; None if the service does not say, as 1.1.7.

    Raises:
        ReplayUnavailable: see :func:`get_replay`.
    """
    try:
        found = [seq_id_of(msg) for msg in get_replay(name, {"last": True}, config, context)]
    except ReplayUnavailable:
        raise
    except ValueError:
        return None
    return max((number for number in found if number is not None), default=None)


def missing(
    name: str, after: int, before: int, config: Config, context: zmq.Context[Any] | None = None
) -> Iterator[Message]:
    """Yield what the store has between two numbers, in order, in windows of :data:`WINDOW`.

    Args:
        name: key of ``replay_endpoints``.
        after: number of the last message that is not wanted.
        before: number of the first one that is not wanted any more.
        config: the configuration.
        context: where sockets are made.

    Raises:
        ReplayUnavailable, ValueError: see :func:`get_replay`.
    """
    known = None
    if before - after > WINDOW + 1:
        known = newest(name, config, context)
        if known is not None:
            # A number from the bus may be anything: it is not counted up to.
            before = min(before, known + 1)
    size, ranges = WINDOW, True
    while before - after > 1:
        end = min(after + size + 1, before)
        try:
            found = _between(
                after, end, get_replay(name, _query(after, end, ranges), config, context)
            )
        except ReplayUnavailable:
            raise
        except ValueError as error:
            text = repr(error)
            if "narrower" in text and size > 1:
                size //= 2
                continue
            if "no match" not in text:
                if not ranges:
                    raise
                # SqlStore of 1.1.7 cannot answer ranges.
                size, ranges = WINDOW, False
                continue
            if known is None and end < before:
                return
            found = []
        # Whole regions of numbers may be unused.
        size = size * 2 if ranges and not found else WINDOW
        yield from found
        after = end - 1


def _query(after: int, before: int, ranges: bool) -> dict[str, Any]:
    """Return the query for what is between; 1.1.7 gave both ends, and so may get them."""
    return (
        {"seq_id_range": (after, before)} if ranges else {"seq_ids": list(range(after + 1, before))}
    )


def _between(after: int, before: int, answer: Iterator[Message]) -> list[Message]:
    """Return the messages that were asked for, each once: servers send others too (R2, R13)."""
    wanted: dict[int, Message] = {}
    for msg in answer:
        number = seq_id_of(msg)
        if number is not None and after < number < before:
            wanted.setdefault(number, msg)
    return [wanted[number] for number in sorted(wanted)]


# -- following a publisher -----------------------------------------------------------------------


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
        self._ask_again = 0.0

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
        try:
            last = newest(self.name, self._config, context)
        except ReplayUnavailable as error:
            self._report("cannot look for missing messages of %r: %s", self.name, error)
            return
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
                absent, self.name, after, before, problem or "the store does not have them",
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
