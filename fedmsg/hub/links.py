"""The transports of a hub: what it receives from, and what it sends through."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import zmq

from .. import options, transports
from ..exceptions import ConfigurationError, FedmsgError
from ..transports.outlet import Outlet
from ..transports.zeromq import end_context
from .dispatch import Dispatcher
from .source import ZmqSource

if TYPE_CHECKING:
    from ..transports.base import Transport
    from .broker import StompSource

_log = logging.getLogger("moksha.hub")


class Links:
    """ZeroMQ, STOMP, or both, as the configuration says.

    Args:
        config: with ``zmq_enabled`` set where it was not; see :meth:`open`.
        dispatcher: takes what comes from ZeroMQ.
        topics: pattern -> callbacks, for what comes from STOMP.
    """

    def __init__(
        self, config: dict[str, Any], dispatcher: Dispatcher, topics: Mapping[str, list[Any]]
    ) -> None:
        self._config, self._dispatcher, self._topics = config, dispatcher, topics
        self._context: zmq.Context[Any] = zmq.Context(options.get(config, "io_threads"))
        self._out: list[Outlet | Transport] = []
        self._zmq: ZmqSource | None = None
        self._stomp: StompSource | None = None
        self._sent = 0
        self._lock = threading.Lock()

    def open(self) -> None:
        """Open what is sent through, and prepare what is received from.

        Raises:
            ConfigurationError: no transport is configured, or an option is wrong.
            MissingDependency: STOMP, and stomp.py is not installed.
            zmq.ZMQError: an address to publish on cannot be bound.
        """
        config = self._config
        stomp = bool(config.get("stomp_uri") or config.get("stomp_broker"))
        if config.get("zmq_enabled") is None:
            config["zmq_enabled"] = not (stomp or config.get("amqp_broker"))
        if not (stomp or config["zmq_enabled"]):
            raise ConfigurationError(
                "the hub has no transport that it knows: set zmq_enabled=True or stomp_uri in the"
                " configuration"
            )
        if config["zmq_enabled"]:
            self._open_zmq()
        if stomp:
            self._open_stomp()

    def _open_zmq(self) -> None:
        config = self._config
        outbound = addresses_of(config, "zmq_publish_endpoints")
        if outbound:
            outlet = Outlet(
                self._context, "zmq_publish_endpoints", outbound, transports.socket_options(config)
            )
            self._out.append(outlet)
            outlet.open()
        self._zmq = ZmqSource(
            self._context,
            addresses_of(config, "zmq_subscribe_endpoints"),
            transports.subscriber_options(config),
            bind=config.get("zmq_subscribe_method", "connect") == "bind",
            dispatcher=self._dispatcher,
            watch=bool(config.get("metrics_port")),
        )

    def _open_stomp(self) -> None:
        from .broker import StompSource

        if self._zmq is not None:
            _log.warning("zmq_enabled and a STOMP broker are both configured: the hub uses both")
        self._stomp = StompSource(self._config, self._topics)
        broker = transports.broker_publisher({"post_init_sleep": 0, **self._config})
        assert broker is not None
        self._out.append(broker)
        broker.open()

    # -- while the hub runs --------------------------------------------------------------------

    @property
    def _sources(self) -> list[ZmqSource | StompSource]:
        return [source for source in (self._zmq, self._stomp) if source is not None]

    def start(self) -> None:
        """Begin to receive.

        Raises:
            NoEndpointAvailable: an address cannot be bound.
            ConfigurationError: an address to bind is malformed or does not resolve.
        """
        if self._zmq is not None:
            self._zmq.start(self._dispatcher.prefixes())
        if self._stomp is not None:
            self._stomp.start()

    def change(self, before: Iterable[bytes], after: Iterable[bytes]) -> None:
        """Subscribe to other prefixes, at ZeroMQ."""
        if self._zmq is not None:
            self._zmq.change(before, after)

    def send(self, topic: bytes, body: bytes) -> None:
        """Send a message through everything there is; a failure is logged."""
        if not self._out:
            _log.warning("cannot send on %a: zmq_publish_endpoints is not configured", topic)
        for each in self._out:
            try:
                each.send(topic, body)
            except (zmq.ZMQError, FedmsgError, ValueError) as error:
                _log.warning("cannot send on %a: %s", topic, error)
                continue
            with self._lock:
                self._sent += 1

    def counted(self) -> Iterator[tuple[Any, ...]]:
        """Yield the name of a series, a value, and labels: see :mod:`fedmsg.hub.series`."""
        yield "fedmsg_messages_sent_total", self._sent
        yield "fedmsg_messages_received_total", self._dispatcher.received, "zmq"
        rejected = self._dispatcher.rejected.copy()
        if self._zmq is not None:
            yield "fedmsg_reconnects_total", self._zmq.reconnects, "zmq"
        if self._stomp is not None:
            yield "fedmsg_messages_received_total", self._stomp.received, "stomp"
            again = [getattr(each, "reconnects", 0) for each in (self._stomp, *self._out)]
            yield "fedmsg_reconnects_total", sum(again), "stomp"
            rejected.update(self._stomp.rejected)
        rejected["not sent"] = sum(each.undelivered for each in self._out)
        for reason, count in rejected.items():
            yield "fedmsg_messages_dropped_total", count, reason
        yield "fedmsg_overflows_total", sum(each.overflows for each in self._out)
        failures = [getattr(each, "accept_failures", 0) for each in self._out]
        yield "fedmsg_accept_failures_total", sum(failures)
        unconfirmed = [getattr(each, "unconfirmed", 0) for each in self._out]
        yield "fedmsg_unconfirmed_messages", sum(unconfirmed)

    @property
    def obstacle(self) -> str:
        """Why nothing can come: there is no connection to a broker; empty if something can."""
        return f"STOMP: {self._stomp.problem}" if self._stomp and self._stomp.problem else ""

    @property
    def running(self) -> bool:
        """False once receiving has ended on any way; then see ``error``."""
        return bool(self._sources) and all(source.running for source in self._sources)

    @property
    def error(self) -> BaseException | None:
        """What ended the receiving, if it was an error."""
        return next((each.error for each in self._sources if each.error is not None), None)

    def is_thread(self, thread: threading.Thread) -> bool:
        """Whether this is one of the threads that receive."""
        return any(source.is_thread(thread) for source in self._sources)

    # -- the end -------------------------------------------------------------------------------

    def stop(self, timeout: float) -> None:
        """Receive no more; a thread that waits for room in a queue has so many seconds."""
        for source in self._sources:
            source.stop(timeout)

    def close(self, deadline: float, linger: float) -> None:
        """Close everything; what is sent still leaves, for up to ``linger`` seconds.

        Args:
            deadline: for the threads that receive, a time of ``time.monotonic()``.
            linger: seconds.
        """
        for source in self._sources:
            source.wait_stopped(deadline)
        if self._stomp is not None:
            self._stomp.close()
        for each in self._out:
            each.close(linger)
        if not end_context(self._context, linger + 1.0):
            _log.error("a socket keeps the zmq context of the hub open")


def addresses_of(config: Mapping[str, Any], key: str) -> list[str]:
    """Return the addresses of a comma list.

    Raises:
        ConfigurationError: one of them is ``localhost``.
    """
    found = [each.strip() for each in (config.get(key) or "").split(",") if each.strip()]
    if any("localhost" in address for address in found):
        raise ConfigurationError(f"'localhost' in {key} is disallowed; write 127.0.0.1")
    return found
