"""The command line that all commands share.  Specification: config.md 4."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

# fmt: off
_COMMON: list[tuple[list[str], dict[str, Any]]] = [
    (["--io-threads"], {
        "dest": "io_threads", "type": int, "help": "number of zmq I/O threads"}),
    (["--topic-prefix"], {
        "dest": "topic_prefix", "type": str, "help": "first part of every topic"}),
    (["--post-init-sleep"], {
        "dest": "post_init_sleep", "type": float,
        "help": "seconds allowed for subscribers to join a new publisher"}),
    (["--config-filename"], {
        "dest": "config_filename", "help": "read this configuration file only"}),
    (["--print-config"], {
        "dest": "print_config", "action": "store_true",
        "help": "print the configuration as JSON and exit"}),
    (["--timeout"], {
        "dest": "timeout", "type": float,
        "help": "longest wait for a relay, a name or a reply, in seconds"}),
    (["--high-water-mark"], {
        "dest": "high_water_mark", "type": int,
        "help": "messages that a zmq queue holds, 0 = unlimited"}),
    (["--linger"], {
        "dest": "zmq_linger", "type": int,
        "help": "milliseconds given to what is still queued at the end"}),
]
# fmt: on


def build_parser(
    declared_args: Sequence[Any], doc: str | None, config: Mapping[str, Any], prog: str | None
) -> Any:
    """Return an ``argparse`` parser; see :func:`fedmsg.config.build_parser`."""
    import argparse
    from textwrap import dedent

    parser = argparse.ArgumentParser(
        description=dedent(doc or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        prog=prog or sys.argv[0],
    )
    for flags, kwargs in declared_args:
        if "dest" in kwargs and "default" in kwargs:
            kwargs = {**kwargs, "default": config.get(kwargs["dest"], kwargs["default"])}
        parser.add_argument(*flags, **kwargs)
    for flags, kwargs in _COMMON:
        dest = kwargs["dest"]
        default = None if dest == "config_filename" else config.get(dest)
        parser.add_argument(*flags, **kwargs, default=default)
    return complete(parser)


def complete(parser: Any) -> Any:
    """Return a parser; if it is a shell that asks, answer it and end the process instead.

    ``register-python-argcomplete`` tells a shell to ask.
    """
    if "_ARGCOMPLETE" in os.environ:
        try:
            import argcomplete
        except ImportError:  # of the extra commands
            return parser
        argcomplete.autocomplete(parser)
    return parser
