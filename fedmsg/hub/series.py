"""What a daemon tells Prometheus of itself: the series, and where their values come from.

The values are read from counters that exist anyway, when somebody asks.  No label has a value that
comes from the network: a reason is one of the constants under which messages are counted, and
names are those of classes and of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import crypto, envelope
from ..consumers.base import Consumer
from ..consumers.record import Durations, totals_of
from .watchdog import Watchdog

if TYPE_CHECKING:
    from .central import Hub

#: The daemons that have metrics, as ``metrics_port`` names them.
DAEMONS = ("relay", "signing-relay", "gateway", "hub", "replay-server", "web", "bridge")


class Series(NamedTuple):
    """A kind of value: ``counter``, ``gauge`` or ``histogram``."""

    kind: str
    doc: str
    labels: tuple[str, ...] = ()


SERIES: dict[str, Series] = {
    "fedmsg_daemon_info": Series("gauge", "Always 1", ("daemon",)),
    "fedmsg_ready": Series("gauge", "1 if /ready answers 200, else 0"),
    "fedmsg_messages_received_total": Series("counter", "Messages that came in", ("transport",)),
    "fedmsg_messages_sent_total": Series("counter", "Messages that went out"),
    "fedmsg_messages_dropped_total": Series("counter", "Messages lost or refused", ("reason",)),
    "fedmsg_overflows_total": Series(
        "counter", "Occasions at which a subscriber's full queue made messages disappear"
    ),
    "fedmsg_accept_failures_total": Series(
        "counter", "Attempts to accept a connection that failed, mostly for want of descriptors"
    ),
    "fedmsg_validations_total": Series("counter", "Checks of signatures", ("verdict",)),
    "fedmsg_queue_depth": Series("gauge", "Messages that wait", ("queue",)),
    "fedmsg_reconnects_total": Series(
        "counter", "Connections to publishers or brokers made again", ("transport",)
    ),
    "fedmsg_unconfirmed_messages": Series("gauge", "Messages that the broker has not confirmed"),
    "fedmsg_consumer_messages_total": Series("counter", "Messages of a consumer", ("consumer",)),
    "fedmsg_consumer_failures_total": Series(
        "counter", "Exceptions raised by a consumer", ("consumer",)
    ),
    "fedmsg_consumer_dropped_total": Series(
        "counter", "Messages that a consumer did not get", ("consumer", "reason")
    ),
    "fedmsg_consumer_seconds": Series(
        "histogram", "Time that a consumer spent on a message", ("consumer",)
    ),
    "fedmsg_topic_silent": Series("gauge", "1 if an expected topic is silent", ("topic",)),
    "fedmsg_topic_silence_seconds": Series(
        "gauge", "Time since an expected topic was heard", ("topic",)
    ),
    "fedmsg_replay_requests_total": Series("counter", "Requests for replay", ("outcome",)),
    "fedmsg_bridge_carried_total": Series(
        "counter", "Messages that crossed between bus and broker", ("direction",)
    ),
    "fedmsg_bridge_store_total": Series(
        "counter", "What a bridge found in the stores of publishers", ("event",)
    ),
}


class Sample(NamedTuple):
    """One value.

    Attributes:
        name: a key of :data:`SERIES`.
        value: a number, or what a histogram is made of.
        labels: values of the series' labels.
    """

    name: str
    value: float | Durations
    labels: tuple[str, ...] = ()


class View:
    """A daemon as its metrics see it; what :func:`fedmsg.hub.metrics.serving` gives to a daemon.

    Args:
        daemon: one of :data:`DAEMONS`.
    """

    def __init__(self, daemon: str) -> None:
        self._daemon, self._state = daemon, "starting"
        self._read: Callable[[], Iterable[Sample]] = tuple
        self._check: Callable[[], str] = str

    def begin(self, read: Callable[[], Iterable[Sample]], check: Callable[[], str] = str) -> None:
        """The daemon works now.

        Args:
            read: returns its samples; called in another thread.
            check: returns why it is not ready, or an empty text; likewise.
        """
        self._read, self._check, self._state = read, check, ""

    def end(self) -> None:
        """The daemon begins to stop."""
        self._state = "stopping"

    def obstacle(self) -> str:
        """Return why the daemon is not ready, an empty text if it is."""
        return self._state or self._check()

    def samples(self) -> Iterator[Sample]:
        """Yield every value there is."""
        yield Sample("fedmsg_daemon_info", 1, (self._daemon,))
        yield Sample("fedmsg_ready", int(not self.obstacle()))
        yield Sample("fedmsg_validations_total", crypto.accepted, ("valid",))
        for reason, count in crypto.rejections.copy().items():
            yield Sample("fedmsg_validations_total", count, (reason,))
        yield from self._read()


def dropped(counts: Mapping[str, int]) -> Iterator[Sample]:
    """Yield the drops of a counter by reason; the usual reasons also before they occur."""
    for reason, count in {**dict.fromkeys(envelope.REASONS, 0), **counts}.items():
        yield Sample("fedmsg_messages_dropped_total", count, (reason,))


def of_forwarder(forwarder: Any) -> Iterator[Sample]:
    """Yield what a relay has done."""
    counts = forwarder.counts()
    yield Sample("fedmsg_messages_received_total", counts.received, ("zmq",))
    yield Sample("fedmsg_messages_sent_total", counts.sent)
    yield Sample("fedmsg_overflows_total", counts.overflows)
    yield Sample("fedmsg_accept_failures_total", forwarder.accept_failures)
    yield Sample("fedmsg_queue_depth", forwarder.pending, ("forwarder",))
    yield from dropped(forwarder.dropped_by)


def of_page(window: Any, rejected: Mapping[str, int]) -> Iterator[Sample]:
    """Yield what ``fedmsg-web`` has heard."""
    yield Sample("fedmsg_messages_received_total", window.received, ("zmq",))
    yield Sample("fedmsg_queue_depth", window.pending, ("checks",))
    yield from dropped({**rejected, "no room to be checked": window.overrun})


def of_gateway(dispatcher: Any, outlet: Any, source: Any) -> Iterator[Sample]:
    """Yield what a gateway has done."""
    yield Sample("fedmsg_messages_received_total", dispatcher.received, ("zmq",))
    yield Sample("fedmsg_messages_sent_total", dispatcher.received)
    yield Sample("fedmsg_overflows_total", outlet.overflows)
    yield Sample("fedmsg_accept_failures_total", outlet.accept_failures)
    yield Sample("fedmsg_reconnects_total", source.reconnects, ("zmq",))
    yield from dropped(dispatcher.rejected)


def of_replay_server(counts: Mapping[str, int]) -> Iterator[Sample]:
    """Yield what a replay server has done."""
    yield Sample("fedmsg_messages_sent_total", counts["messages"])
    for outcome in ("answered", "refused", "failed"):
        yield Sample("fedmsg_replay_requests_total", counts[outcome], (outcome,))


def of_hub(hub: Hub) -> Callable[[], Iterator[Sample]]:
    """Return the function that yields what a hub and its consumers have done."""
    # Kept: a hub that stops has none any more.
    consumers, producers = _named(hub.consumers), list(hub.producers)

    def read() -> Iterator[Sample]:
        for series, value, *labels in hub.counted():
            yield Sample(series, value, tuple(labels))
        for name, consumer in consumers.items():
            yield from _of_consumer(name, consumer)
        for producer in producers:
            if isinstance(producer, Watchdog):
                for each in producer.expected:
                    yield Sample("fedmsg_topic_silent", int(each.silent), (each.topic,))
                    yield Sample("fedmsg_topic_silence_seconds", each.silence(), (each.topic,))

    return read


def _named(consumers: Iterable[Any]) -> dict[str, Consumer]:
    """Return our consumers, and not those of moksha.hub, by the names of their classes.

    Prometheus takes nothing from a daemon that has two values for one name.
    """
    found: dict[str, Consumer] = {}
    for each in consumers:
        name = type(each).__name__
        if isinstance(each, Consumer):
            found[f"{name}-{len(found) + 1}" if name in found else name] = each
    return found


def _of_consumer(name: str, consumer: Consumer) -> Iterator[Sample]:
    totals = totals_of(consumer)
    yield Sample("fedmsg_queue_depth", consumer.backlog, (name,))
    yield Sample("fedmsg_consumer_messages_total", totals.received, (name,))
    yield Sample("fedmsg_consumer_failures_total", totals.exceptions, (name,))
    yield Sample("fedmsg_consumer_dropped_total", consumer.dropped, (name, "queue full"))
    yield Sample("fedmsg_consumer_dropped_total", consumer.rejected, (name, "invalid"))
    if isinstance(consumer._times, Durations):
        yield Sample("fedmsg_consumer_seconds", consumer._times, (name,))


def stalled(hub: Hub) -> str:
    """Return why a hub is not ready: it has ended, has no broker, or a consumer's queue is full."""
    if not hub.running:
        return f"receiving has ended: {hub.error}" if hub.error else "receiving has ended"
    names = [
        type(each).__name__
        for each in list(hub.consumers)
        if getattr(each, "_stalled", False) and each.incoming.full()
    ]
    return f"stalled: {', '.join(names)}" if names else hub.obstacle()
