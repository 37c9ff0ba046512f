"""Asking a publisher's replay service (replay.md 1 and 3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import zmq

from .. import encoding, envelope, options, transports, utils
from .._visible import one_line
from ..exceptions import ConfigurationError, FrameError, ReplayUnavailable
from ..transports import addresses
from .tracker import seq_id_of

__all__ = ["WINDOW", "get_replay", "missing", "newest"]

#: Messages asked for at a time.
WINDOW = 1_000
_NO_MATCH = "no match"
#: What our service answers when its store fails.
_FAILED = "internal error"

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
        if error.errno == zmq.ETERM:  # pyzmq says it thus when a socket is made
            raise zmq.ContextTerminated from error
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


def newest(name: str, config: Config, context: zmq.Context[Any] | None = None) -> int | None:
    """Return the highest number in the store, 0 for none; None if the service does not say.

    The service of 1.1.7 does not.

    Raises:
        ReplayUnavailable: see :func:`get_replay`; or the service cannot use its store.
    """
    try:
        found = [seq_id_of(msg) for msg in get_replay(name, {"last": True}, config, context)]
    except ReplayUnavailable:
        raise
    except ValueError as error:
        if _FAILED in repr(error):
            text = f"the replay service of {name} failed: {one_line(error)}"
            raise ReplayUnavailable(text) from error
        return 0 if _NO_MATCH in repr(error) else None
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
            if _NO_MATCH not in text:
                if not ranges:
                    raise
                # SqlStore of 1.1.7 cannot answer ranges.
                size, ranges = WINDOW, False
                continue
            if known is None and end < before:
                return
            found = []
        # Whole regions of numbers may be unused.
        size = size * 2 if ranges and not found else min(size, WINDOW)
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
