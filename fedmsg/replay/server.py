"""The replay service: answers queries from a store, one at a time (replay.md 1 and 2)."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import Any

import zmq

from .. import encoding, options, transports, utils
from .._limits import RateLimit
from ..exceptions import ConfigurationError, NoEndpointAvailable
from ..transports import addresses
from . import open_store

__all__ = ["ReplayContext"]

_log = logging.getLogger("fedmsg.replay")

#: Longest wait for a request in one cycle, milliseconds.
_CYCLE = 1000
#: A longer request is cut off by libzmq, together with its sender; bytes.
_REQUEST_BYTES = 1024 * 1024
#: An answer that has grown larger than this is refused; one message always fits.
_ANSWER_BYTES = 32 * 1024 * 1024
#: Requests and answers that wait for one peer, whatever ``high_water_mark`` says.  A REQ socket
#: has one at a time.
_WAITING = 8
#: A peer that does not read is cut off after this many milliseconds, where the system can.
_STALLED = 30_000
_NOT_FOUND = "There was no match for the given query"


class ReplayContext:
    """Serves the store of one publisher.

    Args:
        config: the configuration, as keywords.  ``persistent_store``, ``io_threads`` and
            ``replay_endpoints[name]`` are required.

    Attributes:
        config: the same.
        store: answers queries: ``get(query)`` returns dicts or raises ValueError.
        hostname: the host's name up to its first dot.
        context: the ``zmq.Context``.
        publisher: the REP socket.
        counts: ``requests``, ``answered`` and ``messages`` sent; ``refused`` and ``failed`` ones.

    Raises:
        ConfigurationError: ``persistent_store`` is missing or wrong, or the address is malformed;
            a ValueError.
        KeyError: ``io_threads`` or the address is missing.
        NoEndpointAvailable: the address cannot be bound; an OSError.
        StoreError: the database cannot be used; an OSError.
    """

    def __init__(self, **config: Any) -> None:
        if not config.get("persistent_store"):
            raise ConfigurationError("No valid persistent_store config value found.")
        self.config = config
        self.hostname = utils.hostname()
        name = config.get("name")
        if not name:
            name = f"{utils.guess_calling_module(default='fedmsg')}.{self.hostname}"
        [endpoint] = transports.as_list(config["replay_endpoints"][name])[:1] or [""]
        self.store = open_store(config["persistent_store"])
        self.counts: Counter[str] = Counter()
        self._limit = options.get(config, "replay_limit")
        self._log_limit = RateLimit()
        self._stop = threading.Event()
        address = addresses.parse(endpoint)
        self.context: zmq.Context[Any] = zmq.Context(config["io_threads"])
        self.publisher: zmq.Socket[bytes] = self.context.socket(zmq.REP)
        try:
            self._bind(address)
        except BaseException:
            self.close()
            raise
        self.endpoint = self.publisher.getsockopt_string(zmq.LAST_ENDPOINT)

    def _bind(self, address: addresses.Address) -> None:
        sock, target = self.publisher, addresses.to_bind(address)
        mark = min(self.config.get("high_water_mark") or _WAITING, _WAITING)
        try:
            for option, value in (
                (zmq.SNDHWM, mark),
                (zmq.RCVHWM, mark),
                (zmq.LINGER, 1000),
                (zmq.MAXMSGSIZE, _REQUEST_BYTES),
                (zmq.TCP_MAXRT, _STALLED),
                (zmq.IPV6, int(addresses.is_ipv6(target))),
                *utils.given_options(self.config, utils.TCP_KEEPALIVE),
            ):
                sock.setsockopt(option, value)
            if addresses.is_taken(address):
                raise zmq.ZMQError(zmq.EADDRINUSE)
            sock.bind(target)
        except zmq.ZMQError as error:
            raise NoEndpointAvailable(
                f"The replay endpoint cannot be bound. {address.text}: {error}; is another replay"
                " server running?"
            ) from error

    def listen(self) -> None:
        """Answer requests until :meth:`stop` is called, then close the socket."""
        try:
            while not self._stop.is_set():
                self._req_rep_cycle()
        finally:
            self.publisher.close(linger=1000)

    def stop(self) -> None:
        """Make :meth:`listen` return within a second; from any thread, or a signal handler."""
        self._stop.set()

    def close(self) -> None:
        """Close everything; what has been answered is still sent, for a second."""
        self.publisher.close(linger=1000)
        self.context.term()

    def _req_rep_cycle(self) -> None:
        """Wait up to a second for a request, and answer it."""
        if not self.publisher.poll(_CYCLE, zmq.POLLIN):
            return
        frames = self.publisher.recv_multipart()
        self.counts["requests"] += 1
        # Never waits: libzmq discards the answer to a peer that has gone or that does not read.
        self.publisher.send_multipart(self._answer(frames), zmq.NOBLOCK)

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        """Return the frames of the answer, whatever the request is."""
        try:
            found = self._select(_query(frames))
        except ValueError as error:
            self.counts["refused"] += 1
            return [_refusal(error)]
        except Exception:
            # The reason is for the log, not for the peer.
            self.counts["failed"] += 1
            if self._log_limit.allow():
                skipped = self._log_limit.suppressed
                _log.exception("a query failed; %d before were not logged", skipped)
            return [_refusal("internal error")]
        self.counts["answered"] += 1
        self.counts["messages"] += len(found)
        return found

    def _select(self, query: dict[str, Any]) -> list[bytes]:
        """Return the encoded messages that a query selects.

        Raises:
            ValueError: the store refuses the query, or the answer is empty or too large.
        """
        found: list[bytes] = []
        size = 0
        with closing(self._messages(query)) as messages:
            for message in messages:
                found.append(encoding.dumps(message).encode("ascii"))
                size += len(found[-1])
                if len(found) > self._limit or (size > _ANSWER_BYTES and len(found) > 1):
                    raise ValueError(
                        f"More than {self._limit} messages or {_ANSWER_BYTES} bytes match; ask for"
                        " a narrower range"
                    )
        if not found:
            raise ValueError(_NOT_FOUND)
        return found

    def _messages(self, query: dict[str, Any]) -> Generator[Any, None, None]:
        stream = getattr(type(self.store), "stream", None)
        found: Iterable[Any] = self.store.get(query) if stream is None else self.store.stream(query)
        yield from found


def _query(frames: list[bytes]) -> dict[str, Any]:
    """Return the query of a request.

    Raises:
        ValueError: it is not one JSON object.
    """
    if len(frames) != 1:
        raise ValueError("A request has one frame")
    try:
        query = encoding.loads(frames[0].decode("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("The request is not JSON") from None
    if not isinstance(query, dict):
        raise ValueError("The request is not a JSON object")  # noqa: TRY004
    return query


def _refusal(reason: object) -> bytes:
    """Return an error frame; peers tell it from a message by its not being JSON."""
    return f"error: '{reason}'".encode("utf-8", "replace")
