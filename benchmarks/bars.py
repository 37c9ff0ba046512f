"""The bars: what is measured, and the limit that each figure is held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import (
    hub,
    publishing,
    reading,
    relaying,
    signing,
    signing_relay,
    starting,
    stomp,
    tailing,
)
from .measure import Result

#: Takes "is this only a smoke run?".
Measurement = Callable[[bool], Result]


@dataclass(frozen=True)
class Bar:
    """One row.

    Attributes:
        name: for ``--only``.
        what: what is measured, and against what.
        unit: of the figure; ``x`` is a ratio of medians.
        limit: the figure that must hold.
        measure: makes the measurement.
        at_most: whether the limit is the largest figure allowed, else it is the smallest.
        old: the figure of fedmsg 1.1.7, empty where there is none.
        missing: returns what has to be installed first, empty if nothing.
    """

    name: str
    what: str
    unit: str
    limit: float
    measure: Measurement
    at_most: bool = True
    old: str = ""
    missing: Callable[[], str] = lambda: ""

    def holds(self, value: float) -> bool:
        """True if the figure is within the limit."""
        return value <= self.limit if self.at_most else value >= self.limit


_SMALL, _LARGE = 100, 2048

BARS = (
    Bar("publish-100", "`publish` 100 B, no `modname`: CPU / raw", "x", 1.15,
        partial(publishing.measure, _SMALL), old="28"),
    Bar("publish-2k", "`publish` 2 KB, no `modname`: CPU / raw", "x", 1.15,
        partial(publishing.measure, _LARGE), old="13"),
    Bar("publish-100-deep", "`publish` 100 B, 60 frames deeper: CPU / raw", "x", 1.25,
        partial(publishing.measure, _SMALL, depth=60), old="55"),
    Bar("publish-2k-deep", "`publish` 2 KB, 60 frames deeper: CPU / raw", "x", 1.25,
        partial(publishing.measure, _LARGE, depth=60), old=""),
    Bar("tail-1", "`tail_messages` 1 endpoint, 1 KB: CPU / raw", "x", 1.15,
        partial(tailing.measure, 1), old="1.22"),
    Bar("tail-500", "`tail_messages` 500 endpoints, 1 live: CPU / raw with one socket", "x", 1.3,
        partial(tailing.measure, 500), old="17"),
    Bar("sign", "sign, RSA 2048, 1 KB: CPU / the key's `sign`", "x", 1.15, signing.sign, old="103"),
    Bar("validate", "validate, RSA 2048, 1 KB, CRL: CPU / `verify` + one `dumps`", "x", 1.3,
        signing.validate),
    Bar("validate-large", "validate with 500 endpoints, 3,000 policy rows: CPU / with one", "x",
        1.05, signing.validate_large),
    Bar("publish-signed", "signed `publish` 2 KB: CPU / unsigned + the key's `sign`", "x", 1.3,
        signing.publish, old="100"),
    Bar("tail-validating", "validating tail 1 KB: CPU / tail, then `validate`", "x", 1.3,
        signing.tail, old="13"),
    Bar("relay-rate", "relay, 1 KB burst, no limit: messages/s / `zmq.proxy`", "x", 0.9,
        partial(relaying.rate, 0), at_most=False, old="0.14"),
    Bar("relay-rate-limited", "relay, 1 KB burst, limit set: messages/s / `zmq.proxy`", "x", 0.7,
        partial(relaying.rate, 1_000_000), at_most=False),
    Bar("relay-memory", "relay, 100,000 messages of 1 KB: peak memory", "MiB", 40,
        relaying.memory, old="807"),
    Bar("relay-stalled", "relay, one subscriber stalled, 20,000 sent, no limit", "lost", 0,
        partial(relaying.stalled, 0), old="15,300"),
    Bar("relay-stalled-limited", "relay, one subscriber stalled, 20,000 sent, limit 20,000",
        "lost", 0, partial(relaying.stalled, 20_000)),
    Bar("signing-relay", "signing relay: messages/s / signatures/s of one core", "x", 1.25,
        signing_relay.rate, at_most=False, old="0.01"),
    Bar("meta-repr", "`make_processors` of 100, then 10,000 `msg2repr`: CPU / loop of patterns",
        "x", 1.1, reading.measure, old="9"),
    Bar("stomp-rate", "`publish` 100 B to RabbitMQ, confirmed: messages/s / stomp.py alone", "x",
        0.7, partial(stomp.measure, _SMALL), at_most=False, missing=stomp.missing),
    Bar("hub-cpu", "hub, trivial consumer, 100,000 of 1 KB: CPU / raw `recv` and `json.loads`",
        "x", 1.3, hub.cpu, old="2.4"),
    Bar("hub-memory", "its peak memory, more than raw", "MiB", 30, hub.memory),
    Bar("hub-validating", "hub with signatures validated, 1 KB: CPU / hub, then `validate`", "x",
        1.4, signing.hub, old="40"),
    Bar("hub-ready", "`fedmsg-hub`: from its start until it is ready", "s", 0.3, hub.ready,
        old="1.4"),
    Bar("gateway-50", "gateway, 50 clients: messages/s / a loop in Python", "x", 0.9,
        partial(hub.gateway_rate, 50), at_most=False, old="0.7-0.8"),
    Bar("gateway-500", "gateway, 500 clients: messages/s / a loop in Python", "x", 0.9,
        partial(hub.gateway_rate, 500), at_most=False, old="0.7-0.8"),
    Bar("gateway-50-cpu", "gateway, 50 clients: CPU / a loop in Python", "x", 1.2,
        partial(hub.gateway_cpu, 50)),
    Bar("gateway-500-cpu", "gateway, 500 clients: CPU / a loop in Python", "x", 1.2,
        partial(hub.gateway_cpu, 500)),
    Bar("gateway-memory", "gateway, 500 clients that keep up: peak memory", "MiB", 60,
        partial(hub.gateway_memory, 500), old="177"),
    Bar("import-time", "`import fedmsg` over bare Python: wall / `import zmq`", "x", 1.7,
        starting.import_time, old="4.5"),
    Bar("import-modules", "`import fedmsg`: modules beyond bare Python", "modules", 110,
        starting.import_modules, old="371"),
    Bar("first-publish", "import + init + first publish (bind, no sleep): wall", "ms", 60,
        starting.first_publish, old="214"),
)  # fmt: skip
