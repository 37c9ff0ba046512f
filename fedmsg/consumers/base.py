"""The contract of consumers, as Moksha has it: a queue, worker threads, counters.

It asks of a hub only ``config`` and ``subscribe``, so that a consumer runs under our hub, under a
Moksha hub, and in tests with less than a hub.  Specification: consumers.md 2 and 7.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, ClassVar

from .. import options
from .._limits import RateLimit
from .inbox import Batch, Inbox
from .message import decoded, parsed

_hub_log = logging.getLogger("moksha.hub")

#: Delay before a worker that died is replaced, seconds.
_REPLACE_SECONDS = 0.1
#: Of a message that failed, so many characters are logged.
_SHOWN = 5000


class Consumer:
    """Handles the messages of some topics.

    Args:
        hub: has ``config`` and ``subscribe(topic, callback)``.

    Attributes:
        topic: a str, or a list or tuple of them; ``''`` and ``'*'`` mean everything.
        jsonify: whether :meth:`consume` gets the body parsed, ``{'topic', 'body'}``, or as text.
        incoming: the queue of messages that no worker has taken yet.
        N: number of worker threads; absent in blocking mode.
        dropped: messages lost because the queue was full for longer than ``queue_wait``.

    Raises:
        ValueError: ``moksha.blocking_mode`` is a text that is neither yes nor no.
    """

    topic: str | Sequence[str] = ""
    jsonify: bool = True
    app: Any = None

    _initialized = False
    _exception_count = 0
    dropped = 0
    headcount_in = 0
    headcount_out = 0
    N: int
    engine: Any = None
    DBSession: Any = None

    #: Methods which, overridden, keep a consumer from taking whole batches.
    _SINGLE: ClassVar[Sequence[str]] = ("_consume", "_consume_json", "_work_loop")

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.log = _hub_log
        self.incoming: Inbox = Inbox(options.get(hub.config, "queue_limit"))
        self._wait = options.get(hub.config, "queue_wait")
        self._times: deque[float] = deque(maxlen=1024)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._in_hand = 0
        self._stalled = False
        self._stall_limit = RateLimit()
        self._reject_limit = RateLimit(60)
        self._workers: list[threading.Thread] = []
        if self.app:
            from ..encoding.sqla import connect

            self.engine, self.DBSession = connect(
                hub.config.get("app_db", f"sqlite:///{self.app}.db")
            )
        self.blocking_mode = as_bool(hub.config.get("moksha.blocking_mode", False))
        if not self.blocking_mode:
            self.N = int(hub.config.get("moksha.workers_per_consumer", 1))
            self._start_workers()
        callback = self._consume_json if self.jsonify else self._consume
        for topic in topics_of(self):
            hub.subscribe(topic, callback)
        self._initialized = True

    # -- arrival -------------------------------------------------------------------------------

    def _consume_json(self, message: Any) -> bool | None:
        """Take one message object whose body is JSON text."""
        headers: Any = getattr(message, "headers", None)
        try:
            topic = headers[0].routing_key  # from AMQP
        except (TypeError, KeyError, IndexError, AttributeError):
            topic = getattr(message, "topic", None)
        found = {"body": parsed(message.body), "topic": topic}
        if isinstance(headers, dict):
            found["headers"] = headers
        return self._consume(found)

    def _consume(self, message: Any) -> bool | None:
        """Queue one message; in blocking mode handle it and return whether that went well."""
        with self._lock:
            self.headcount_in += 1
        if self.blocking_mode:
            return self._do_work(message)
        self._enqueue(message)
        return None

    def _enqueue(self, item: Any) -> bool:
        """Queue a message or a batch, waiting up to ``queue_wait`` seconds for room."""
        try:
            # One that has been waited for in vain is not waited for again: the others would wait.
            self.incoming.put(item, not self._stalled, self._wait)
        except queue.Full:
            self._drop(len(item) if type(item) is Batch else 1)
            return False
        if self._stalled:
            self._stalled = False
            self.log.warning("%s takes messages again; dropped so far: %d", *self._named())
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

    def _named(self) -> tuple[str, int]:
        return type(self).__name__, self.dropped

    @property
    def takes_batches(self) -> bool:
        """Whether a hub may hand over frames with :meth:`take` instead of calling back."""
        return not self.blocking_mode and not any(
            getattr(type(self), name) is not getattr(self._plain(), name) for name in self._SINGLE
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

    def _start_workers(self) -> None:
        for number in range(self.N):
            name = f"fedmsg-worker-{type(self).__name__}-{number}"
            worker = threading.Thread(target=self._keep_working, name=name, daemon=True)
            self._workers.append(worker)
            worker.start()

    def _keep_working(self) -> None:
        """Run the work loop again if it ends other than by its sentinel."""
        while True:
            try:
                return self._work_loop()
            except BaseException:
                self._count_failure()
                self.log.exception("a worker of %s died; it is replaced", type(self).__name__)
            if self._stopping.wait(_REPLACE_SECONDS):
                return None

    def _work_loop(self) -> None:
        """Handle what is queued, until the sentinel ``StopIteration`` comes."""
        _hub_log.debug("a worker of %s begins", type(self).__name__)
        for item in iter(self.incoming.get, StopIteration):
            if type(item) is Batch:
                self._work_batch(item)
            else:
                self._do_work(item)

    def _work_batch(self, batch: Batch) -> None:
        left = len(batch)
        for frames in batch:
            self._in_hand = left = left - 1
            try:
                message = decoded(frames, self.jsonify)
            except UnicodeDecodeError as error:
                self._do_not_work(error)
                continue
            self._do_work(message)

    def _do_not_work(self, error: Exception) -> bool:
        """Count and report a message that is not valid."""
        with self._lock:
            self.headcount_out += 1
        if self._reject_limit.allow():
            _hub_log.warning(
                "Received invalid message: %s (%d more not shown)",
                error, self._reject_limit.suppressed,
            )  # fmt: skip
        return False

    def _do_work(self, message: Any) -> bool:
        """Validate and consume one message; return whether :meth:`consume` returned."""
        began = time.monotonic()
        try:
            self.validate(message)
        except Exception as error:  # noqa: BLE001  nothing in a message may end the worker
            return self._do_not_work(error)
        with self._lock:
            self.headcount_out += 1
        self._hook(self.pre_consume, message)
        done = self._try(message)
        self._hook(self.post_consume, message)
        self._times.append(time.monotonic() - began)
        return done

    def _try(self, message: Any) -> bool:
        """Consume one message; return whether that went well."""
        try:
            self.consume(message)
        except BaseException:
            self._count_failure()
            self.log.exception("%s failed: %s", type(self).__name__, shown(message))
            return False
        return True

    def _count_failure(self) -> None:
        with self._lock:
            self._exception_count += 1

    def _hook(self, hook: Any, message: Any) -> None:
        try:
            hook(message)
        except Exception:
            self.log.exception("%s failed: %s", hook.__name__, shown(message))

    def validate(self, message: Any) -> None:
        """Raise an exception for a message that is not to be consumed; override it."""

    def pre_consume(self, message: Any) -> None:
        """Called before :meth:`consume`; override it."""

    def consume(self, message: Any) -> Any:
        """Handle one message.

        Raises:
            NotImplementedError: a subclass did not override it.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement 'consume'")

    def post_consume(self, message: Any) -> None:
        """Called after :meth:`consume`, also if that failed; override it."""

    # -- the rest ------------------------------------------------------------------------------

    def send_message(self, topic: str, message: Any) -> None:
        """Send a message through the hub; a failure is logged."""
        try:
            self.hub.send_message(topic, message)
        except Exception as error:
            self.log.error("Cannot send message on %s: %s", topic, error)

    @property
    def backlog(self) -> int:
        """Messages that wait: queued, and in the hands of a worker."""
        return self.incoming.qsize() + self._in_hand

    def stop(self) -> None:
        """End the workers behind what is queued, and close the hub and the session; idempotent."""
        if self._initialized and not self._stopping.is_set():
            self._stopping.set()
            for _ in self._workers:
                self.incoming.put_always(StopIteration)
        hub = getattr(self, "hub", None)
        if hub is not None and hasattr(hub, "close"):
            hub.close()
        if self.DBSession is not None:
            self.DBSession.close()

    def wait_stopped(self, deadline: float) -> int:
        """After :meth:`stop`: wait until a time of ``time.monotonic()``.

        Returns:
            The number of messages that were not handled by then.
        """
        others = [each for each in self._workers if each is not threading.current_thread()]
        for worker in others:
            worker.join(max(0.0, deadline - time.monotonic()))
        busy = sum(worker.is_alive() for worker in others)
        # Each of them has a message in its hands, and a sentinel in the queue.
        return self.backlog if busy else 0

    def __json__(self) -> dict[str, Any]:
        """Return the monitoring record (consumers.md 7); reading it restarts the counters."""
        record = {
            "name": type(self).__name__,
            "module": type(self).__module__,
            "topic": self.topic,
            "initialized": self._initialized,
            "jsonify": self.jsonify,
            "backlog": None,
            "exceptions": 0,
            "headcount_in": 0,
            "headcount_out": 0,
            "times": [],
            "dropped_total": self.dropped,
        }
        if self._initialized:
            with self._lock:
                record.update(
                    backlog=self.backlog,
                    exceptions=self._exception_count,
                    headcount_in=self.headcount_in,
                    headcount_out=self.headcount_out,
                    times=list(self._times),
                )
                self._exception_count = self.headcount_in = self.headcount_out = 0
                self._times.clear()
        return record


def topics_of(consumer: Any) -> list[str]:
    """Return the topics of a consumer as texts; bytes are UTF-8."""
    declared = consumer.topic
    if isinstance(declared, (str, bytes)):
        declared = [declared]
    return [each.decode("utf-8") if isinstance(each, bytes) else each for each in declared]


_TRUE, _FALSE = ("true", "yes", "on", "y", "t", "1"), ("false", "no", "off", "n", "f", "0")


def as_bool(value: Any) -> bool:
    """Return the truth of a value of which texts mean what they say.

    Raises:
        ValueError: a text that means neither.
    """
    if not isinstance(value, str):
        return bool(value)
    word = value.strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError(f"{value!r} is neither true nor false; write 'true' or 'false'")
    return word in _TRUE


def shown(message: Any) -> str:
    """Return the text of a message for a log, cut off."""
    try:
        return repr(message)[:_SHOWN]
    except Exception as error:  # noqa: BLE001  an object of somebody else's, in an error path
        return f"<a message whose repr fails: {error!r}>"
