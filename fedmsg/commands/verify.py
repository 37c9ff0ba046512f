"""``fedmsg-verify``: what is missing or double between this bus and a broker."""

from __future__ import annotations

import argparse
import json
import math
import threading
import time
from typing import Any

from fedmsg.bridge.matching import Matcher
from fedmsg.bridge.verifying import Listening
from fedmsg.commands import BaseCommand, run_command
from fedmsg.commands.filters import number_above_zero
from fedmsg.exceptions import FedmsgError
from fedmsg.hub import signals

__all__ = ["VerifyCommand", "verify"]

#: How often it is looked what is due, seconds.
_LOOK = 0.2
_READY_SECONDS = 30.0


def _seconds(text: str) -> float:
    """Return a number of seconds.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above zero")
    return number


class VerifyCommand(BaseCommand):
    """
    Listen on both sides of a bridge, and report what is missing or double.

    Messages of the bus and of the broker are matched by their id.  What was heard on one side and
    not on the other within --window seconds is missing there; what was heard again on the same
    side is double.  It ends after --for seconds, after --count messages heard on both sides, or
    with SIGTERM or Ctrl-C, and then says what it found; younger messages are undecided.

    Exit status: 0 if nothing is missing or double, 1 otherwise.  A bridge that was killed sends
    again what was not confirmed: --allow-double.

    Examples:

        fedmsg-verify --for=600
        fedmsg-verify --json --for=3600 --window=120 --queue=verify
    """

    name = "fedmsg-verify"
    logs_to_stderr = True
    extra_args = (
        (["--window"], {
            "dest": "window", "type": _seconds, "default": 30.0, "metavar": "SECONDS",
            "help": "time within which a message has to be on both sides; default: 30"}),
        (["--for"], {
            "dest": "seconds", "type": _seconds, "default": None, "metavar": "SECONDS",
            "help": "end after SECONDS"}),
        (["--count"], {
            "dest": "count", "type": number_above_zero, "default": None, "metavar": "N",
            "help": "end when N messages were heard on both sides"}),
        (["--queue"], {
            "dest": "queue", "default": "", "metavar": "NAME",
            "help": "durable queue (AMQP) or destination (STOMP) to listen to, so that nothing is"
            " missed while the broker restarts"}),
        (["--remember"], {
            "dest": "remember", "type": number_above_zero, "default": 1_000_000, "metavar": "N",
            "help": "ids kept in memory; default: 1000000"}),
        (["--allow-double"], {
            "dest": "allow_double", "action": "store_true", "default": False,
            "help": "double messages do not make the exit status 1"}),
        (["--json"], {
            "dest": "json", "action": "store_true", "default": False,
            "help": "report one JSON document"}),
    )  # fmt: skip

    def run(self) -> int | None:
        """Listen, report, and return 1 if anything is missing or double.

        Raises:
            FedmsgError: the broker cannot be listened to.
        """
        config = self.config
        matcher = Matcher(config["window"], config["remember"])
        over = threading.Event()
        listening = Listening(config, matcher, config["queue"])
        try:
            with signals.stopping(over.set):
                if not listening.start(_READY_SECONDS):
                    raise FedmsgError(
                        f"the broker cannot be listened to: {listening.error or 'no answer'}"
                    )
                self.log.info("listening on both sides")
                self._wait(listening, over)
        finally:
            listening.close()
        matcher.judge(time.monotonic())
        self._report(matcher)
        return int(bool(matcher.missing or (matcher.double and not config["allow_double"])))

    def _wait(self, listening: Listening, over: threading.Event) -> None:
        """Return when it is time to end.

        Raises:
            FedmsgError: one side failed.
        """
        seconds, count = self.config["seconds"], self.config["count"]
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        matcher = listening.matcher
        while not over.wait(_LOOK) and time.monotonic() < deadline:
            with listening.changed:
                if listening.error is not None:
                    raise FedmsgError(f"the listening failed: {listening.error}")
                matcher.judge(time.monotonic())
                if count is not None and matcher.matched >= count:
                    return

    def _report(self, matcher: Matcher) -> None:
        report: dict[str, Any] = matcher.report()
        if self.config["json"]:
            print(json.dumps(report))
            return
        for side in ("bus", "broker"):
            found = report[side]
            print(
                f"{side}: {found['heard']} heard, {found['missing']} missing, {found['late']} of"
                f" them late, {found['double']} double"
            )
            for what, examples in found["examples"].items():
                for msg_id in examples:
                    print(f"  {what}: {msg_id}")
        print(
            f"{report['matched']} matched within {report['largest_lag']:g} s,"
            f" {report['undecided']} undecided, {report['hurried']} judged too early"
        )


def verify() -> int | None:
    """Entry point of ``fedmsg-verify``."""
    return run_command(VerifyCommand)
