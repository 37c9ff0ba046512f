"""``fedmsg-collectd``: how many messages of which service, for collectd's exec plug-in.

Specification: commands.md, section 5.
"""

from __future__ import annotations

import argparse
import re
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import fedmsg.meta
from fedmsg import utils
from fedmsg.commands import BaseCommand, discard_stdout, run_command, subscribe_to_all
from fedmsg.consumers import FedmsgConsumer
from fedmsg.exceptions import ConfigurationError
from fedmsg.hub import main
from fedmsg.hub.producers import PollingProducer
from fedmsg.meta.failures import safely

__all__ = ["CollectdCommand", "CollectdConsumer", "CollectdProducer", "collectd", "main"]

#: Ages of messages beyond this are not an age but a wrong clock, seconds.
_OLDEST = 86400.0


def interval(value: Any) -> int:
    """Return a number of seconds.

    Raises:
        argparse.ArgumentTypeError: it is no whole number of at least 1.
    """
    try:
        seconds = int(value)
    except (TypeError, ValueError, OverflowError):
        seconds = 0
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number of seconds, at least 1")
    return seconds


class CollectdConsumer(FedmsgConsumer):
    """Counts messages by the processor that knows their topic.

    Attributes:
        host: the name of this machine up to its first dot.
        unit: seconds from one report to the next, as the lines have it.
    """

    config_key = "fedmsg.commands.collectd.enabled"
    topic = "*"

    def __init__(self, hub: Any) -> None:
        self.host = utils.hostname()
        self.unit = int(hub.config.get("collectd_interval") or 2)
        self._counting = threading.Lock()
        self._age: float | None = None
        fedmsg.meta.make_processors(**hub.config)
        self._counts = Counter({_name_of(each): 0 for each in fedmsg.meta.processors})
        super().__init__(hub)

    def consume(self, message: Any) -> None:
        """Count one message."""
        body = message["body"]
        last = _name_of(fedmsg.meta.processors[-1])
        name = safely(_processor_name, body, last, self.hub.config)
        age = time.time() - _timestamp(body)
        with self._counting:
            # A name that was not there at the start would be one that a message has brought.
            self._counts[name if name in self._counts else last] += 1
            if age <= _OLDEST:
                self._age = max(0.0, age, self._age or 0.0)

    def report(self, now: int) -> list[str]:
        """Return the lines of one report, and begin to count from zero.

        Args:
            now: seconds since the epoch.
        """
        with self._counting:
            counts, age = dict(self._counts), self._age
            self._counts = Counter(dict.fromkeys(counts, 0))
            self._age = None
        values: list[tuple[str, Any]] = [
            (f"fedmsg_wallboard-{name}", counts[name]) for name in sorted(counts)
        ]
        values += [
            ("gauge-backlog", self.backlog),
            ("gauge-lag", "U" if age is None else f"{age:.1f}"),
            ("derive-dropped", self.dropped),
        ]
        return [
            f"PUTVAL {self.host}/fedmsg/{name} interval={self.unit} {now}:{value}"
            for name, value in values
        ]


class CollectdProducer(PollingProducer):
    """Writes a report to standard output in every period.

    Raises:
        ConfigurationError: the hub has no :class:`CollectdConsumer`.
    """

    frequency: Any = timedelta(seconds=2)

    def __init__(self, hub: Any) -> None:
        found = [each for each in hub.consumers if isinstance(each, CollectdConsumer)]
        if not found:
            raise ConfigurationError(
                f"CollectdProducer needs a CollectdConsumer: set {CollectdConsumer.config_key!r}"
            )
        self._consumer = found[0]
        super().__init__(hub)

    def poll(self) -> None:
        """Write one report; end the hub when nobody reads it."""
        lines = self._consumer.report(int(time.time()))
        try:
            sys.stdout.write("".join(f"{line}\n" for line in lines))
            sys.stdout.flush()
        except BrokenPipeError:
            discard_stdout()
            self.log.warning("the reader of standard output has gone")
            self.hub.close()


class CollectdCommand(BaseCommand):
    """
    Report how many messages each service sends, in the language of collectd's exec plug-in.

    Standard output has one line for every installed processor in every period, and three more:
    messages that wait, the age of the oldest message of the period in seconds (U if there was
    none), and messages dropped since the start.  The log goes to standard error.

    Examples:

        fedmsg-collectd
        fedmsg-collectd --collectd-interval=10

    In collectd.conf:

        <Plugin exec>
            Exec "fedmsg" "/usr/bin/fedmsg-collectd" "--collectd-interval" "10"
        </Plugin>
    """

    name = "fedmsg-collectd"
    daemonizable = True
    logs_to_stderr = True
    extra_args = [
        (
            ["--collectd-interval"],
            {
                "dest": "collectd_interval",
                "type": interval,
                "default": 2,
                "metavar": "SECONDS",
                "help": "time from one report to the next",
            },
        ),
    ]

    def run(self) -> int | None:
        """Report until a signal comes, or nobody reads any more.

        Raises:
            ConfigurationError: ``collectd_interval`` is less than 1.
            FedmsgError: see :func:`fedmsg.hub.main`.
        """
        config = self.config
        try:
            config["collectd_interval"] = interval(config["collectd_interval"])
        except argparse.ArgumentTypeError as error:
            raise ConfigurationError(f"collectd_interval: {error}") from error
        subscribe_to_all(config)
        config["mute"] = True
        config[CollectdConsumer.config_key] = True
        CollectdProducer.frequency = timedelta(seconds=config["collectd_interval"])
        return main(config, [CollectdConsumer], [CollectdProducer], framework=False)


def _name_of(processor: Any) -> str:
    # A slash or a blank would end the identifier.
    return re.sub(r"[^\w.-]", "_", str(processor.__name__).lower())


def _processor_name(_msg: Any, processor: Any, **_config: Any) -> str:
    return _name_of(processor)


def _timestamp(body: Any) -> float:
    """Return when a message was sent, the beginning of time if it does not say."""
    found = body.get("timestamp") if isinstance(body, dict) else None
    is_number = isinstance(found, (int, float)) and not isinstance(found, bool)
    return float(found) if is_number and abs(found) < 2**53 else 0.0  # type: ignore[arg-type]


def collectd() -> int | None:
    """Entry point of ``fedmsg-collectd``."""
    return run_command(CollectdCommand)
