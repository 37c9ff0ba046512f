"""What a consumer missed while it was down, from datagrepper.  Specification: consumers.md 6, CD-7.

The one module that imports requests; nobody imports it before there is something to fetch.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import requests

from .. import encoding, options
from ..crypto.utils import fix_datagrepper_message
from .message import BusMessage
from .status import Record, Seen, parse
from .values import matcher, prefix_of

#: Messages on a page.
_ROWS = 100
#: Attempts at a page, and the pause after the first that failed, seconds; it doubles.
_ATTEMPTS = 5
FIRST_PAUSE = 1.0
#: To connect, and between two bytes; for a page as a whole, seconds.
_TIMEOUTS = (10.0, 30.0)
_LONGEST = 120.0
#: Largest page, bytes.
_LARGEST = 64 * 2**20
#: Consumers whose spans begin so close to each other, and who ask so soon one after another, share
#: a download; seconds.
_CLOSE, _SOON = 3600.0, 60.0
#: Pages of a download that are kept for those who are slower.
_KEPT = 16

Query = Sequence[tuple[str, Any]]


class BacklogError(Exception):
    """The backlog cannot be fetched, or not all of it."""


def pages(
    url: str, then: float, now: float, filters: Query, stopping: threading.Event, log: Any
) -> Iterator[dict[str, Any]]:
    """Yield the messages of a span of time, page by page, each page fetched once.

    Args:
        url: of datagrepper's raw messages.
        then, now: the span, seconds since the epoch.
        filters: further parameters of the query.
        stopping: ends it.
        log: told about each page.

    Raises:
        BacklogError: a page cannot be fetched.
    """
    download = _joined(url, then, now, filters)
    # Through the package: tests of applications replace it there.
    package: Any = sys.modules[__package__]
    with package.requests.Session() as session:
        number = count = 1
        while number <= count and not stopping.is_set():
            page = download.page(number, session, stopping, log)
            count = page["pages"]
            log.info("backlog: page %d of %d from %s", number, count, url)
            for message in page["raw_messages"]:
                if download.then == then or not _is_before(message, then):
                    yield message
            number += 1


class _Download:
    """Pages of one query, each fetched once for all consumers that want the same.

    They are kept as they came, so that no consumer sees what another one does with a message.
    """

    def __init__(self, url: str, then: float, now: float, filters: Query) -> None:
        self.then, self._url = then, url
        self._span = [("start", then), ("end", now), ("order", "asc"), *filters]
        self._begun = time.monotonic()
        self._pages: dict[int, bytes] = {}
        self._lock = threading.Lock()

    def covers(self, then: float) -> bool:
        """Whether somebody who asks from a time on is better off with this one."""
        return 0 <= then - self.then < _CLOSE and time.monotonic() - self._begun < _SOON

    def page(
        self, number: int, session: requests.Session, stopping: threading.Event, log: Any
    ) -> dict[str, Any]:
        """Return one page, an object of the caller's own.

        Raises:
            BacklogError: it cannot be fetched.
        """
        while not self._lock.acquire(timeout=0.5):
            if stopping.is_set():
                raise BacklogError("the consumer is stopped")
        try:
            known = self._pages.get(number)
            if known is not None:
                return _parsed(known, self._url)
            query = [("rows_per_page", _ROWS), ("page", number), *self._span]
            self._pages[number], page = _page(session, self._url, query, stopping, log)
            if len(self._pages) > _KEPT:
                del self._pages[min(self._pages)]
            return page
        finally:
            self._lock.release()


#: By address and filters; one that nobody reads any more is forgotten.
_downloads: weakref.WeakValueDictionary[Any, _Download] = weakref.WeakValueDictionary()
_joining = threading.Lock()


def _joined(url: str, then: float, now: float, filters: Query) -> _Download:
    key = url, tuple(filters)
    with _joining:
        download = _downloads.get(key)
        if download is None or not download.covers(then):
            download = _downloads[key] = _Download(url, then, now, filters)
        return download


def _is_before(message: Any, then: float) -> bool:
    """Whether a message is older than what was asked for, as far as it says."""
    sent = message.get("timestamp") if isinstance(message, dict) else None
    return isinstance(sent, (int, float)) and sent < then


def _page(
    session: requests.Session, url: str, query: Query, stopping: threading.Event, log: Any
) -> tuple[bytes, dict[str, Any]]:
    """Return one page, as it came and parsed, after several attempts if need be."""
    pause = FIRST_PAUSE
    for left in range(_ATTEMPTS - 1, -1, -1):
        try:
            return _fetch(session, url, query)
        except (requests.RequestException, ValueError, RecursionError) as error:
            status = getattr(getattr(error, "response", None), "status_code", None) or 500
            final = 400 <= status < 500 and status not in (408, 429)
            if final or not left or stopping.wait(pause):
                raise BacklogError(str(error)) from error
            log.warning("backlog: %s; trying again in %g s", error, pause)
            pause *= 2
    raise AssertionError("unreachable")


def _fetch(session: requests.Session, url: str, query: Query) -> tuple[bytes, dict[str, Any]]:
    """Return one page, as it came and parsed.

    Raises:
        requests.RequestException: it did not come.
        ValueError: what came is no page.
    """
    end, body = time.monotonic() + _LONGEST, bytearray()
    with session.get(url, params=list(query), timeout=_TIMEOUTS, stream=True) as response:
        response.raise_for_status()
        for chunk in response.iter_content(65536):
            body += chunk
            if len(body) > _LARGEST or time.monotonic() > end:
                raise ValueError(f"a page of {url} is larger than {_LARGEST} bytes, or too slow")
    return bytes(body), _parsed(body, url)


def _parsed(body: bytes | bytearray, url: str) -> dict[str, Any]:
    """Return what is on a page.

    Raises:
        ValueError: it is no page.
        RecursionError: it is nested too deeply.
    """
    page = json.loads(body)
    if (
        not isinstance(page, dict)
        or type(page.get("pages")) is not int
        or not isinstance(page.get("raw_messages"), list)
    ):
        raise ValueError(f"{url} did not answer with 'pages' and 'raw_messages'")
    return page


def filters(patterns: Sequence[str], strict: bool) -> list[tuple[str, str]]:
    """Return what restricts a query to some topics, as far as datagrepper can.

    It knows whole topics, and categories, which are the fourth part of a topic.

    Args:
        patterns: topics of a consumer.
        strict: ``zmq_strict``.
    """
    prefixes = sorted({prefix_of(each) for each in patterns})
    if strict and all(prefixes):
        return [("topic", each) for each in prefixes]
    if all(each.count(".") >= 4 for each in prefixes):
        return [("category", each) for each in sorted({each.split(".")[3] for each in prefixes})]
    return []


class Backlog:
    """Gives a consumer what it missed.

    Args:
        consumer: gets the messages.
        seen: what it has had.
        modified: when its status file was written, seconds since the epoch.
    """

    def __init__(self, consumer: Any, seen: Seen, modified: float) -> None:
        self._consumer, self._seen, self._modified = consumer, seen, modified
        self._log, self._config = consumer.log, consumer.hub.config
        self._matches = matcher(consumer)

    def fill(self, text: str) -> None:
        """Queue what was missed; whatever goes wrong is logged.

        Args:
            text: the content of the status file.
        """
        try:
            record = parse(text, self._modified)
        except (ValueError, RecursionError) as error:
            self._log.info("the status file is not JSON: %s", text[:5000])
            self._log.error("the status file is not JSON", exc_info=error)
            record = Record(None, self._modified, True)
        try:
            count = self._fill(record)
        except Exception:
            self._log.exception(
                "the backlog is not complete; as the status stays where it is, the next start"
                " fetches it again"
            )
            return
        self._seen.filled = not self._consumer._stopping.is_set()
        self._log.info("backlog: %d messages were missed and are queued", count)

    def _fill(self, record: Record) -> int:
        now = int(time.time())
        oldest = now - options.get(self._config, "backlog_max_age")
        if record.timestamp < oldest:
            self._log.warning(
                "the last message is %d s old, and nothing older than backlog_max_age is fetched",
                now - record.timestamp,
            )
        limit, count = options.get(self._config, "backlog_limit"), 0
        found = self._consumer.get_datagrepper_results(max(record.timestamp, oldest), now)
        for message in found:
            if self._consumer._stopping.is_set():
                break
            if not self._is_wanted(message, record):
                continue
            if limit and count >= limit:
                self._log.error("there is more than backlog_limit (%d) allows; it is lost", limit)
                break
            if self._seen.offer(message.get("msg_id")):
                self._hand_over(fix_datagrepper_message(message))
                count += 1
        return count

    def _is_wanted(self, message: Any, record: Record) -> bool:
        topic = message.get("topic") if isinstance(message, dict) else None
        if not isinstance(topic, str) or not isinstance(message.get("msg_id"), (str, type(None))):
            self._log.warning("backlog: what is no message is dropped: %.200r", message)
            return False
        if not self._matches(topic):
            return False
        if record.msg_id is None or message.get("msg_id") != record.msg_id:
            return True
        if record.done:
            self._log.warning("backlog: %s has been consumed already", record.msg_id)
            return False
        if self._consumer.skip_last_message:
            self._log.info("backlog: %s is skipped (skip_last_message)", record.msg_id)
            return False
        return True

    def _hand_over(self, body: dict[str, Any]) -> None:
        """Queue one message, waiting for room; without workers, consume it."""
        consumer, topic = self._consumer, body["topic"]
        message: Any = {"body": body, "topic": topic}
        if not consumer.jsonify:
            message = BusMessage(topic, encoding.dumps(body))
        with consumer._lock:
            consumer.headcount_in += 1
        if consumer.blocking_mode:
            with consumer._one_at_a_time:
                consumer._do_work(message)
            return
        while not consumer._stopping.is_set():
            try:
                consumer.incoming.put(message, timeout=0.5)
                return
            except queue.Full:
                continue
