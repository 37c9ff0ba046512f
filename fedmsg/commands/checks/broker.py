"""STOMP brokers: is one there?"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterator

from fedmsg._bounded import bounded
from fedmsg.commands.checks import Case, Finding, error, ok, warning

#: Seconds for each broker, with the look-up of its name.
_SECONDS = 1.0
#: Brokers that are asked, one after the other.
_MOST = 8


def broker(case: Case) -> Iterator[Finding]:
    """Connect to each broker where STOMP is used in place of zeromq; nothing is sent."""
    config = case.config
    if config.get("zmq_enabled", True) or case.role == "relay":
        return
    uri = config.get("stomp_uri")
    if not uri:
        yield error(
            "broker", "zmq_enabled is off, and 'stomp_uri' is not set: there is no transport",
            "set stomp_uri='host:port', or zmq_enabled=True",
        )  # fmt: skip
        return
    texts = [text.strip() for text in str(uri).split(",")]
    silent = {}
    for text in texts[:_MOST]:
        try:
            host, _, port = text.rpartition(":")
            bounded(functools.partial(_connect, host, int(port)), _SECONDS)
        except (OSError, ValueError, OverflowError) as problem:
            silent[text] = problem
        else:
            yield ok("broker", f"{text} accepts connections")
    make = error if len(silent) == len(texts[:_MOST]) else warning
    for text, reason in silent.items():
        yield make("broker", f"{text} is not reachable: {reason}", "start it, or correct stomp_uri")


def _connect(host: str, port: int) -> None:
    socket.create_connection((host, port), _SECONDS).close()
