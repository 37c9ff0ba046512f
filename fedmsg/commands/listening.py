"""What the commands that listen have in common.  Specification: commands.md, section 4."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import fedmsg
from fedmsg.commands.filters import pattern
from fedmsg.core import FedMsgContext

#: Options that choose topics.
OPTIONS: list[Any] = [
    (["--topic"], {"dest": "topic", "default": "", "help": "beginning of the topics wanted"}),
    (
        ["--exclude"],
        {
            "dest": "exclusive_regexp",
            "metavar": "REGEXP",
            "default": "_heartbeat",
            "type": pattern,
            "help": "leave out topics that match",
        },
    ),
    (
        ["--include"],
        {
            "dest": "inclusive_regexp",
            "metavar": "REGEXP",
            "default": "^((?!_heartbeat).)*$",
            "type": pattern,
            "help": "take only topics that match",
        },
    ),
]


def muted(config: dict[str, Any]) -> dict[str, Any]:
    """Set what a command that only listens needs, in its configuration, and return that."""
    config.update(publish_endpoint=None, timeout=0, name="relay_inbound", mute=True)
    return config


def messages(config: Mapping[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield what ``tail_messages`` yields for ``--topic``."""
    # A star is what consumers write behind a prefix; on the wire there are only prefixes.
    return fedmsg.tail_messages(**{**config, "topic": config["topic"].replace("*", "")})


@contextlib.contextmanager
def ending(context: FedMsgContext, seconds: float | None = None) -> Iterator[None]:
    """End the listening after so many seconds, if any, and cleanly at SIGTERM."""
    timer = threading.Timer(seconds, context.destroy) if seconds is not None else None
    if timer is not None:
        timer.daemon = True
        timer.start()
    before: Any = None
    in_main_thread = threading.current_thread() is threading.main_thread()
    if in_main_thread:
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)
        if timer is not None:
            timer.cancel()
