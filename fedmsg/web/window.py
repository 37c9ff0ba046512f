"""From the bus to the browsers: what is counted, what is chosen, and what is kept."""

from __future__ import annotations

import itertools
import json
import logging
import os
import queue
import re
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from .. import encoding, options
from ..crypto._fields import without_credentials
from ..crypto.verdict import Verdict, rejected
from . import cutting
from .counts import NAME, TOPIC, Publishers, Rates, Sequences
from .viewer import Viewer, Wanted, limit_of

_log = logging.getLogger("fedmsg.web")

#: What may wait to be checked and put into words: messages, and characters of them.
_MOST_PENDING, _MOST_PENDING_SIZE = 500, 32 * 1024 * 1024
#: Size of what is kept, bytes.
_MOST_KEPT_SIZE = 32 * 1024 * 1024
_MOST_VIEWERS = 50
#: Of what is kept, so many messages are shown to a browser that comes.
_RECENT = 100
#: Longest wait for the end of the thread: gpg has ten seconds for a signature.
_PATIENCE = 15.0
_WORDS, _SUMMARY, _SIGNER, _REASON = 500, 300, 200, 200
_KEY = re.compile(r"[A-Za-z0-9._:-]{1,100}")
_FAILED = "the check failed with an error"

Words = Callable[[dict[str, Any]], str]
Check = Callable[[str, dict[str, Any]], Verdict]


class Arrival:
    """A message that somebody is to see.

    Attributes:
        number: how many had been received with it.
        at: when it came, seconds since the epoch.
    """

    def __init__(self, number: int, name: str, topic: str, message: dict[str, Any]) -> None:
        self.number, self.name, self.topic, self.message = number, name, topic, message
        self.at = time.time()
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The message as JSON, for searching."""
        if self._text is None:
            try:
                found = json.dumps(without_credentials(self.message), ensure_ascii=False)
            except RecursionError:
                found = ""
            self._text = found.casefold()
        return self._text

    def fits(self, wanted: Wanted) -> bool:
        """Return whether it is wanted, as far as that is known without its words."""
        text = wanted.text
        return wanted.topic_fits(self.topic) and (
            not text or text in self.topic.casefold() or text in self.text
        )


class Kept:
    """A message as browsers get it.

    Args:
        serial: its number here.
        key: what a permalink has.
        topic: its topic.
        line: one JSON object.
        searched: what a search looks at.
    """

    def __init__(self, serial: int, key: str, topic: str, line: str, searched: str) -> None:
        self.serial, self.key, self.topic, self.line = serial, key, topic, line
        self.searched = searched.casefold()
        self.size = sys.getsizeof(line) + sys.getsizeof(self.searched)

    def fits(self, wanted: Wanted) -> bool:
        """Return whether it is wanted."""
        return wanted.topic_fits(self.topic) and (not wanted.text or wanted.text in self.searched)


class Window:
    """What the page shows.

    Args:
        config: the configuration.
        check: returns the verdict on a topic and message.
        words: returns a line about a message, empty for none.
        numbered: publishers whose numbers are watched.

    Attributes:
        instance: different after a restart, and with it the numbers that messages have here.
        received: messages that arrived.
        unsampled: those that were not kept because there were too many.
        overrun: those that were to be kept, and found no room before the check.
        verdicts: outcomes of the checks: ``valid``, or the reason.

    Raises:
        ValueError: an option is wrong.
    """

    def __init__(
        self, config: Mapping[str, Any], check: Check, words: Words, numbered: Any = ()
    ) -> None:
        self._check, self._words = check, words
        self.rate = options.get(config, "web_rate")
        self.instance = os.urandom(4).hex()
        self.received = self.unsampled = self.overrun = 0
        self.verdicts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.rates = Rates(options.get(config, "web_chart_seconds"), time.monotonic())
        self.publishers = Publishers(config.get("topic_prefix") or "")
        self.sequences = Sequences(numbered)
        self._sample = limit_of(self.rate)
        self._most_kept = options.get(config, "web_kept")
        self._serials = itertools.count(1)
        self._kept: deque[Kept] = deque()
        self._kept_size = self._pending_size = 0
        self._pending: queue.Queue[tuple[Arrival, list[Viewer]] | None] = queue.Queue(_MOST_PENDING)
        self._size_lock = threading.Lock()
        # Replaced as a whole: the thread that receives reads it without the lock.
        self._viewers: tuple[Viewer, ...] = ()
        self._thread = threading.Thread(target=self._work, name="fedmsg-web-words", daemon=True)
        self._thread.start()

    # -- the thread that receives --------------------------------------------------------------

    def arrived(self, name: str, topic: str, message: dict[str, Any]) -> None:
        """Count a message, and have it shown to whoever is to see it."""
        shown, now = cutting.cell(topic, TOPIC), time.monotonic()
        heard_on = cutting.cell(name, NAME)
        with self.lock:
            self.received += 1
            arrival = Arrival(self.received, name, topic, message)
            self.rates.add(shown, now)
            self.publishers.add(heard_on, shown, message.get("username"), now)
            self.sequences.add(name, message)
        sampled = self._sample.allow()
        takers = [
            viewer for viewer in self._viewers
            if arrival.fits(viewer.wanted) and viewer.picks(sampled)
        ]  # fmt: skip
        if not sampled:
            self.unsampled += 1
        if sampled or takers:
            self._put(arrival, takers)

    def _put(self, arrival: Arrival, takers: list[Viewer]) -> None:
        size = len(arrival.text)
        with self._size_lock:
            # One message alone may be larger than all that may wait.
            full = self._pending_size and self._pending_size + size > _MOST_PENDING_SIZE
            if not full:
                self._pending_size += size
        try:
            if full:
                raise queue.Full
            self._pending.put_nowait((arrival, takers))
        except queue.Full:
            self.overrun += 1
            if not full:
                self._done(size)

    def _done(self, size: int) -> None:
        with self._size_lock:
            self._pending_size -= size

    # -- the thread that checks and finds words --------------------------------------------------

    def _work(self) -> None:
        while (item := self._pending.get()) is not None:
            arrival, takers = item
            try:
                self._show(arrival, takers)
            except Exception:
                # Nothing that a message contains may end the loop.
                _log.exception("a message cannot be shown")
            self._done(len(arrival.text))

    def _show(self, arrival: Arrival, takers: list[Viewer]) -> None:
        kept = self._made(arrival)
        with self.lock:
            self._keep(kept)
            for viewer in self._viewers:
                if viewer in takers or self._fits_now(arrival, kept, viewer):
                    viewer.put(kept.serial, kept.line)

    @staticmethod
    def _fits_now(arrival: Arrival, kept: Kept, viewer: Viewer) -> bool:
        """Return whether a viewer that has not picked a message before it was kept takes it."""
        if not kept.fits(viewer.wanted):
            return False
        if viewer.since >= arrival.number:  # it joined meanwhile
            viewer.matched += 1
            return True
        # Only now the message has words.
        return not arrival.fits(viewer.wanted) and viewer.picks(sampled=True)

    def _keep(self, kept: Kept) -> None:
        self._kept.append(kept)
        self._kept_size += kept.size
        while len(self._kept) > self._most_kept or self._kept_size > _MOST_KEPT_SIZE:
            self._kept_size -= self._kept.popleft().size

    def _made(self, arrival: Arrival) -> Kept:
        message, serial = arrival.message, next(self._serials)
        verdict = self._verdict(arrival)
        words = cutting.cell(self._words(message), _WORDS)
        pretty, cut = cutting.pretty(without_credentials(message))
        msg_id = message.get("msg_id")
        has_id = isinstance(msg_id, str) and _KEY.fullmatch(msg_id)
        key = msg_id if has_id else f"{self.instance}-{serial}"
        line = encoding.dumps({
            "serial": serial, "key": key, "at": arrival.at,
            "sent": cutting.number(message.get("timestamp")),
            "name": cutting.cell(arrival.name, NAME), "topic": cutting.cell(arrival.topic, TOPIC),
            "user": cutting.cell(message.get("username"), NAME), "words": words,
            "summary": cutting.cell(_summary(message), _SUMMARY),
            "valid": verdict.valid, "reason": cutting.cell(verdict.reason, _REASON),
            "signer": cutting.cell(verdict.signer, _SIGNER),
            "json": pretty, "cut": cut, "size": len(arrival.text),
        })  # fmt: skip
        return Kept(serial, str(key), arrival.topic, line, f"{arrival.topic}\n{words}\n{pretty}")

    def _verdict(self, arrival: Arrival) -> Verdict:
        try:
            verdict = self._check(arrival.topic, arrival.message)
        except Exception:
            _log.exception("validation failed with an error")
            verdict = rejected(_FAILED)
        self.verdicts[cutting.cell(verdict.reason, _REASON) or "valid"] += 1
        return verdict

    # -- the server --------------------------------------------------------------------------------

    def join(self, wanted: Wanted, after: int = 0) -> Viewer | None:
        """Return a new viewer, for which what is kept and wanted waits; None if there are too many.

        Args:
            wanted: what it is to see.
            after: number of the last message that it has.
        """
        with self.lock:
            if len(self._viewers) >= _MOST_VIEWERS:
                return None
            viewer = Viewer(wanted, self.rate, self.received)
            found = [each for each in self._kept if each.serial > after and each.fits(wanted)]
            for each in found[-_RECENT:]:
                viewer.put(each.serial, each.line)
            viewer.matched = viewer.sent
            self._viewers = (*self._viewers, viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """Forget a viewer."""
        with self.lock:
            self._viewers = tuple(each for each in self._viewers if each is not viewer)

    @property
    def viewers(self) -> tuple[Viewer, ...]:
        """Those who look."""
        return self._viewers

    def find(self, key: str) -> list[str]:
        """Return the kept messages with a key, which are several if they have the same id."""
        with self.lock:
            return [each.line for each in self._kept if each.key == key]

    @property
    def kept(self) -> int:
        """How many messages are kept."""
        return len(self._kept)

    def close(self) -> None:
        """End the thread, which leaves what waits; idempotent."""
        while self._thread.is_alive():
            try:
                self._pending.put(None, timeout=0.1)
                break
            except queue.Full:
                try:
                    self._pending.get_nowait()
                except queue.Empty:
                    continue
        self._thread.join(_PATIENCE)


def _summary(message: dict[str, Any]) -> str:
    """Return the beginning of what a message says, for where there are no words."""
    text, _ = cutting.pretty({"msg": message.get("msg")})
    return " ".join(text.split())[len('{ "msg": ') : -2]
