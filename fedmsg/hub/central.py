"""The hub itself: sources, consumers, producers, and their end.

Specification: hub.md 2 to 4.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import encoding, options
from ..consumers.values import topics_of
from ..exceptions import ConfigurationError, FedmsgError, NoEndpointAvailable
from . import discovery, moksha
from .dispatch import Dispatcher
from .ending import Ending
from .links import Links
from .monitoring import MonitoringProducer
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .websocket import WebSocketServer

_log = logging.getLogger("moksha.hub")

#: So long, and for half of what is left at most, the next part waits for a ``stop``, seconds.
_STOP_SECONDS = 5.0


class Hub:
    """Runs consumers on what arrives, and producers beside them.

    Args:
        config: the configuration; it is copied.
        consumers: classes to run; None finds those of installed distributions.
        producers: likewise; None also adds :class:`~fedmsg.hub.monitoring.MonitoringProducer`.

    Attributes:
        config: a dict; consumers read it, and some write to it.
        topics: pattern -> the ``_consume`` methods of the consumers on it.
        consumers: instances that are initialised.
        producers: instances.
        failed: monitoring records of the consumers that could not be made.

    Raises:
        ConfigurationError: no transport is configured, or an address is not usable.
        NoEndpointAvailable: an address cannot be bound.
        FedmsgError: consumers were enabled, and none of them could be made; or one that was
            named could not.
    """

    #: Tells consumers that their threads wait for :meth:`start`.
    starts_workers = True

    def __init__(
        self,
        config: Mapping[str, Any],
        consumers: Sequence[Any] | None = None,
        producers: Sequence[Any] | None = None,
    ) -> None:
        self.config = {"high_water_mark": 0, **config}
        self._stop_timeout = options.get(config, "stop_timeout")
        self._linger = options.get(config, "zmq_linger") / 1000
        self.topics: defaultdict[str, list[Any]] = defaultdict(list)
        self.consumers: list[Any] = []
        self.producers: list[Any] = []
        self.failed: list[_Failed] = []
        self.dispatcher = Dispatcher(
            bool(config.get("zmq_strict")), options.get(config, "max_message_size")
        )
        self._lock = threading.Lock()
        self._changing = threading.RLock()
        self._end = Ending(self._begin_close, self._finish_close, self._is_own_thread)
        self._stopped: list[Any] = []
        self._stoppers: list[threading.Thread] = []
        self._deadline = 0.0
        self._links = Links(self.config, self.dispatcher, self.topics)
        self._websocket: WebSocketServer | None = None
        try:
            self._links.open()
            self._make_consumers(consumers)
            self._make_producers(producers)
        except BaseException:
            self.close()
            raise
        with self._changing:
            if self._end.begun:  # a producer has closed it already
                self._stop_parts()

    # -- parts ---------------------------------------------------------------------------------

    def _make_consumers(self, classes: Sequence[Any] | None) -> None:
        discovered = classes is None
        for cls in discovery.find(discovery.CONSUMERS) if classes is None else classes:
            before = self.dispatcher.callbacks()
            try:
                self._make_consumer(cls)
            except (Exception, SystemExit) as error:
                _log.exception("Failed to init %r", cls)
                self._undo(before)
                self.failed.append(_Failed(cls, error))
                if not discovered:
                    raise FedmsgError(f"{_name(cls)} could not start: {error}") from error
        if self.failed and not self.consumers:
            raise FedmsgError(
                "no enabled consumer could start: "
                + "; ".join(f"{each.name}: {each.error}" for each in self.failed)
            )
        if not self.consumers:
            _log.warning("no consumer is enabled: each is switched on by a configuration key")

    def _make_consumer(self, cls: Any) -> None:
        moksha.adopt(self)
        consumer = cls(self)
        if not getattr(consumer, "_initialized", False):
            _log.info("%s is not initialized", _name(cls))
            return
        topics = topics_of(consumer)
        self._check_status_file(consumer)
        self.consumers.append(consumer)
        for topic in topics:
            self.topics[topic].append(getattr(consumer, "_consume", None))

    def _check_status_file(self, consumer: Any) -> None:
        """Refuse a consumer that would overwrite how far another one has got.

        Raises:
            ConfigurationError: both have a class of the same name.
        """
        path = getattr(consumer, "status_filename", None)
        if path and any(getattr(each, "status_filename", None) == path for each in self.consumers):
            raise ConfigurationError(
                f"another consumer keeps its status in {path}, because its class has the same name;"
                " rename one of them, or run it in a hub with another status_directory"
            )

    def _undo(self, before: list[Any]) -> None:
        """Deliver nothing to a consumer that subscribed and then failed."""
        for callback in self.dispatcher.callbacks():
            if callback not in before:
                self.unsubscribe(callback)

    def _make_producers(self, classes: Sequence[Any] | None) -> None:
        if classes is None:
            classes = [*discovery.find(discovery.PRODUCERS), MonitoringProducer]
        if options.get(self.config, "expected_topics"):
            classes = [*classes, Watchdog]
        for cls in classes:
            moksha.adopt(self)
            try:
                producer = cls(self)
            except NoEndpointAvailable:
                raise
            except (Exception, SystemExit):
                _log.exception("Failed to init %r", cls)
                continue
            if not getattr(producer, "_initialized", False):
                _log.info("%s is not initialized", _name(cls))
            self.producers.append(producer)

    @property
    def num_consumers(self) -> int:
        """Number of consumers that are initialised."""
        return sum(1 for each in self.consumers if each._initialized)

    @property
    def num_producers(self) -> int:
        """Number of producers that are initialised."""
        return sum(1 for each in self.producers if each._initialized)

    # -- what consumers and producers use ------------------------------------------------------

    @property
    def origin(self) -> str | None:
        """In a callback: the endpoint from which its message came, None if that is unknown."""
        return self.dispatcher.origin

    def subscribe(self, topic: str, callback: Callable[[Any], Any]) -> None:
        """Call back with every message whose topic matches.

        Args:
            topic: a beginning of topics; stars in it are ignored, ``*`` is everything.
            callback: gets an object with ``topic`` and ``body``, both text.
        """
        self._change(lambda: self.dispatcher.subscribe(topic, callback))

    def unsubscribe(self, callback: Callable[[Any], Any]) -> None:
        """Do not call back any more."""
        self._change(lambda: self.dispatcher.unsubscribe(callback))

    def _change(self, change: Callable[[], None]) -> None:
        with self._lock:
            before = self.dispatcher.prefixes()
            change()
            self._links.change(before, self.dispatcher.prefixes())

    def send_message(self, topic: str | Iterable[str], message: Any, jsonify: bool = True) -> None:
        """Publish a message.

        Args:
            topic: a topic, or several.
            message: what JSON can express; with ``jsonify`` false, text or bytes.
            jsonify: write it as JSON.

        Raises:
            TypeError: it cannot be expressed in JSON.
        """
        body = encoding.dumps(message) if jsonify else message
        raw = body.encode("utf-8") if isinstance(body, str) else body
        for each in [topic] if isinstance(topic, (str, bytes)) else topic:
            self._links.send(each.encode("utf-8") if isinstance(each, str) else each, raw)

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to receive, and to work on what is received."""
        with self._changing:
            if self._end.begun:
                return
            for consumer in self.consumers:
                if hasattr(consumer, "start_workers"):
                    consumer.start_workers()
            self._links.start()
            if options.get(self.config, "moksha.livesocket.backend") == "websocket":
                from .websocket import WebSocketServer

                self._websocket = WebSocketServer(self)

    @property
    def running(self) -> bool:
        """False once receiving has ended, for whatever reason; then see ``error``."""
        return self._links.running

    @property
    def error(self) -> BaseException | None:
        """What ended the receiving, if it was an error."""
        return self._links.error

    def counted(self) -> Iterator[tuple[Any, ...]]:
        """Yield the name of a series, a value, and labels: see :mod:`fedmsg.hub.series`."""
        return self._links.counted()

    def obstacle(self) -> str:
        """Return why nothing can come from a broker, empty if nothing prevents it."""
        return self._links.obstacle

    def close(self) -> None:
        """Stop: no more is taken in, then producers and consumers are stopped.

        What is queued is still consumed, for at most ``stop_timeout`` seconds; what is left then
        is logged.  Consumers and producers call this too, so it can be called again.  Called from
        a thread that has to come to an end for it, it returns at once, and the rest is done in
        another one; a later call waits for that.
        """
        self._end.close(self._stop_timeout + self._linger + 2.0)

    stop = close

    def _is_own_thread(self, thread: threading.Thread) -> bool:
        """Whether the end of the hub has to wait for the end of this thread."""
        return (
            self._links.is_thread(thread)
            or thread in self._stoppers
            or any(
                thread in getattr(each, "_threads", ()) or thread is getattr(each, "_thread", None)
                for each in [*self.consumers, *self.producers, *self._stopped]
            )
        )

    def _begin_close(self) -> None:
        self._deadline = time.monotonic() + self._stop_timeout
        moksha.adopt(None)
        with self._changing:  # not while it starts
            websocket = self._websocket
        if websocket is not None:
            websocket.stop()
        self._links.stop(self._stop_timeout)
        self._stop_parts()

    def _stop_parts(self) -> None:
        with self._changing:
            parts = [*self.producers, *self.consumers]
            self._stopped += parts
            self.producers, self.consumers = [], []
        # A part whose thread this is must see so: it would wait for the end of another one.
        own = self._is_own_thread(threading.current_thread())
        for each in parts:
            if own:
                _stop(each)
            else:
                self._stop_within(each)

    def _stop_within(self, part: Any) -> None:
        """Stop a part in a thread, for it may never return."""
        name = f"fedmsg-stop-{_name(type(part))}"
        thread = threading.Thread(target=_stop, args=(part,), name=name, daemon=True)
        self._stoppers.append(thread)  # first: it may close the hub
        try:
            thread.start()
        except RuntimeError:  # no more threads
            self._stoppers.remove(thread)
            _stop(part)
            return
        thread.join(max(0.0, min(_STOP_SECONDS, (self._deadline - time.monotonic()) / 2)))

    def _finish_close(self) -> None:
        for each in self._stopped:
            wait = getattr(each, "wait_stopped", None)
            left = wait(self._deadline) if wait is not None else 0
            if left:
                _log.error("%s did not finish: %d messages were left", _name(type(each)), left)
        # They may wait for this very thread, if it is that of a part.
        own = self._is_own_thread(threading.current_thread())
        for thread in [] if own else self._stoppers:
            thread.join(max(0.0, self._deadline - time.monotonic()))
            if thread.is_alive():
                _log.error("%s does not return; the hub ends without it", thread.name)
        self._links.close(self._deadline, self._linger)


class _Failed:
    """Stands in the monitoring data for a consumer that could not be made."""

    def __init__(self, cls: Any, error: BaseException) -> None:
        self.name, self.module, self.error = _name(cls), getattr(cls, "__module__", ""), error

    def __json__(self) -> dict[str, Any]:
        return {
            "name": self.name, "module": self.module, "topic": "", "initialized": False,
            "exceptions": 1, "jsonify": True, "backlog": None, "headcount_in": 0,
            "headcount_out": 0, "times": [],
        }  # fmt: skip


def _stop(part: Any) -> None:
    try:
        part.stop()
    except BaseException:  # SystemExit too: the others have to be stopped
        _log.exception("%r could not be stopped", part)


def _name(cls: Any) -> str:
    return getattr(cls, "__name__", repr(cls))
