"""The contract of consumers, as Moksha has it: a queue, worker threads, counters.

It asks of a hub only ``config`` and ``subscribe``, so that a consumer runs under our hub, under a
Moksha hub, and in tests with less than a hub.  Specification: consumers.md 2 and 7.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import options
from .._limits import RateLimit
from .inbox import Batch, Inbox
from .message import decoded, envelope_of
from .plugin import Plugin
from .receipt import enqueue, receipt_of
from .record import Totals, durations, record_of
from .retry import Retry
from .threads import Threads
from .values import as_bool, database_of, shown, topics_of, worker_count

_hub_log = logging.getLogger("moksha.hub")

#: Delay before a worker that died is replaced, seconds.
_REPLACE_SECONDS = 0.1


class Consumer(Plugin):
    """Handles the messages of some topics.

    The worker threads start with the hub: :meth:`start_workers`.

    Args:
        hub: has ``config`` and ``subscribe(topic, callback)``.

    Attributes:
        topic: a str, or a list or tuple of them; ``''`` and ``'*'`` mean everything.
        jsonify: whether :meth:`consume` gets the body parsed, ``{'topic', 'body'}``, or as text.
        incoming: the queue of messages that no worker has taken yet.
        N: number of worker threads; absent in blocking mode.
        dropped: messages lost because the queue was full for longer than ``queue_wait``.
        rejected: messages that were not valid.

    Raises:
        ValueError: ``moksha.blocking_mode`` is a text that is neither yes nor no, or
            ``moksha.workers_per_consumer`` is not at least 1.
    """

    topic: str | Sequence[str] = ""
    jsonify: bool = True

    _initialized = False
    _exception_count = 0
    _past = Totals()
    dropped = 0
    rejected = 0
    headcount_in = 0
    headcount_out = 0
    N: int
    _retry: Retry | None = None

    #: Methods which, overridden, keep a consumer from taking whole batches.
    _SINGLE: ClassVar[Sequence[str]] = ("_consume", "_consume_json", "_work_loop")

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.log = _hub_log
        self.incoming: Inbox = Inbox(options.get(hub.config, "queue_limit"))
        self._wait = options.get(hub.config, "queue_wait")
        self._times = durations(hub.config)
        self._lock = threading.Lock()
        self._one_at_a_time = threading.RLock()
        self._stopping = threading.Event()
        self._in_hand = 0
        self._stalled = False
        self._stall_limit = RateLimit()
        self._reject_limit = RateLimit(60)
        self._threads = Threads(type(self).__name__)
        self.engine, self.DBSession = database_of(self)
        self.blocking_mode = as_bool(hub.config.get("moksha.blocking_mode", False))
        if not self.blocking_mode:
            self.N = self._working = worker_count(hub.config.get("moksha.workers_per_consumer", 1))
            for number in range(self.N):
                self._threads.add(f"worker-{number}", self._keep_working)
        callback = self._consume_json if self.jsonify else self._consume
        for topic in topics_of(self):
            hub.subscribe(topic, callback)
        self._prepare()
        if getattr(hub, "starts_workers", None) is not True:  # not ours
            self._threads.give_to_reactor()
        self._initialized = True

    def _prepare(self) -> None:
        """Called when all is set up, before any thread runs."""

    def start_workers(self) -> None:
        """Begin to work on what is queued; a hub calls this when it begins to receive."""
        self._threads.start()

    # -- arrival -------------------------------------------------------------------------------

    def _consume_json(self, message: Any) -> bool | None:
        """Take one message object whose body is JSON text."""
        return self._consume(envelope_of(message))

    def _consume(self, message: Any) -> bool | None:
        """Queue one message; in blocking mode handle it and return whether that went well."""
        return self._queue(message)

    def _queue(self, message: Any) -> bool | None:
        with self._lock:
            self.headcount_in += 1
        if self.blocking_mode:
            with self._one_at_a_time:
                return self._do_work(message)
        self._enqueue(message)
        return None

    def _enqueue(self, item: Any) -> bool:
        """Queue a message or a batch, waiting up to ``queue_wait`` seconds for room."""
        receipt = receipt_of(item)
        if receipt is not None:
            return enqueue(self.incoming, item, receipt, self._stopping)
        try:
            # One that has been waited for in vain is not waited for again: the others would wait.
            self.incoming.put(item, not self._stalled, self._wait)
        except queue.Full:
            self._drop(len(item) if type(item) is Batch else 1)
            return False
        if self._stalled:
            self._stalled = False
            self.log.warning(
                "%s takes messages again; dropped so far: %d", type(self).__name__, self.dropped
            )
        return True

    def _drop(self, count: int) -> None:
        self._stalled = True
        with self._lock:
            self.dropped += count
        if self._stall_limit.allow():
            self.log.error(
                "%s is stalled: its queue of %d messages (queue_limit) stayed full for %g s"
                " (queue_wait), and what comes is dropped until it takes again; dropped so far: %d",
                type(self).__name__, self.incoming.maxsize, self._wait, self.dropped,
            )  # fmt: skip

    @property
    def takes_batches(self) -> bool:
        """Whether a hub may hand over frames with :meth:`take` instead of calling back."""
        return not self.blocking_mode and not any(
            name in vars(self) or getattr(type(self), name) is not getattr(self._plain(), name)
            for name in self._SINGLE
        )

    @classmethod
    def _plain(cls) -> type:
        """Return the class whose arrival methods :meth:`take` stands for."""
        return Consumer

    def take(self, frames: list[list[bytes]]) -> None:
        """Queue the two frames of each of several messages; they are decoded by a worker."""
        with self._lock:
            self.headcount_in += len(frames)
        if self.N == 1:
            self._enqueue(Batch(frames))
            return
        for each in frames:  # a batch has one worker; here there are several
            self._enqueue(Batch([each]))

    # -- work ----------------------------------------------------------------------------------

    def _keep_working(self) -> None:
        """Run the work loop again if it ends other than by its sentinel."""
        while True:
            try:
                self._work_loop()
                break
            except BaseException:
                self._count_failure()
                self.log.exception("a worker of %s died; it is replaced", type(self).__name__)
            if self._stopping.wait(_REPLACE_SECONDS):
                if not self.backlog:
                    break
                time.sleep(_REPLACE_SECONDS)
        with self._lock:
            self._working -= 1
            last = not self._working
        if last:
            self._worked_off()

    def _worked_off(self) -> None:
        """Called when the last worker has ended; override it to close what they used."""

    def _work_loop(self) -> None:
        """Handle what is queued, until the sentinel ``StopIteration`` comes."""
        _hub_log.debug("a worker of %s begins", type(self).__name__)
        while (item := self.incoming.get()) is not StopIteration:
            if type(item) is Batch:
                self._work_batch(item)
            else:
                self._work_safely(item)

    def _work_batch(self, batch: Batch) -> None:
        left = len(batch)
        for frames in batch:
            self._in_hand = left = left - 1
            try:
                message = decoded(frames, self.jsonify)
            except UnicodeDecodeError as error:
                with self._lock:
                    self.headcount_out += 1
                self._reject(error)
                continue
            self._work_safely(message)

    def _work_safely(self, message: Any) -> None:
        """Handle one message; nothing that overridden methods raise loses those behind it."""
        done = False
        try:
            done = self._do_work(message)
        except BaseException as error:
            self._failed("the handling", message, error)
        receipt = receipt_of(message)
        if receipt is not None:
            receipt.done(done)

    def _reject(self, error: BaseException) -> None:
        """Report a message that is not valid."""
        with self._lock:
            self.rejected += 1
        if self._reject_limit.allow():
            _hub_log.warning(
                "Received invalid message: %s (%d more not shown)",
                error, self._reject_limit.suppressed,
            )  # fmt: skip

    def _do_work(self, message: Any) -> bool:
        """Validate and consume one message; return whether :meth:`consume` returned."""
        began = time.monotonic()
        with self._lock:
            self.headcount_out += 1
        try:
            if not self._is_wanted(message):
                return True
        except BaseException as error:  # nothing in a message may end the worker
            self._reject(error)
            return False
        try:
            self.pre_consume(message)
        except BaseException as error:
            self._failed("pre_consume", message, error, count=False)
        if self._retry is None:
            done = self._attempt(message)
        else:
            done = self._retry.run(self._attempt, message, self._stopping)
        try:
            self.post_consume(message)
        except BaseException as error:
            self._failed("post_consume", message, error, count=False)
        self._times.append(time.monotonic() - began)
        return done

    def _is_wanted(self, message: Any) -> bool:
        """Validate a message; return False for one to pass over in silence."""
        self.validate(message)
        return True

    def _attempt(self, message: Any) -> bool:
        """Consume one message; return whether that went well."""
        try:
            self.consume(message)
        except BaseException as error:
            self._failed("consume", message, error)
            return False
        return True

    def _failed(self, what: str, message: Any, error: BaseException, count: bool = True) -> None:
        if count:
            self._count_failure()
        self.log.error(
            "%s of %s failed on %s", what, type(self).__name__, shown(message), exc_info=error
        )

    def _count_failure(self) -> None:
        with self._lock:
            self._exception_count += 1

    def validate(self, message: Any) -> None:
        """Raise an exception for a message that is not to be consumed; override it."""

    def pre_consume(self, message: Any) -> None:
        """Called before :meth:`consume`; override it."""

    def consume(self, message: Any, /) -> Any:
        """Handle one message.

        Raises:
            NotImplementedError: a subclass did not override it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement 'consume'")

    def post_consume(self, message: Any) -> None:
        """Called after :meth:`consume`, also if that failed; override it."""

    # -- the rest ------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        """Messages that wait: queued, and in the hands of a worker."""
        return self.incoming.qsize() + self._in_hand

    def stop(self) -> None:
        """End the workers behind what is queued, and close the hub and the session; idempotent."""
        if self._initialized and not self._stopping.is_set():
            self._stopping.set()
            self._end_workers()
            if self.blocking_mode:
                self._worked_off()
        super().stop()

    def _end_workers(self) -> None:
        """Have them end behind what is queued."""
        for _ in range(getattr(self, "N", 0)):
            self.incoming.put(StopIteration)

    def wait_stopped(self, deadline: float) -> int:
        """After :meth:`stop`: wait until a time of ``time.monotonic()``.

        Returns:
            The number of messages that were not handled by then.
        """
        if not self._threads.started:
            return max(0, self.backlog - getattr(self, "N", 0))  # without the sentinels
        self._threads.join(deadline)
        # Each worker that is still busy has a message in its hands, and a sentinel in the queue.
        return self.backlog

    def __json__(self) -> dict[str, Any]:
        """Return the monitoring record (consumers.md 7); reading it restarts the counters."""
        return record_of(self)
