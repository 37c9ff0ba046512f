"""The bus at a glance: ``python -m fedmsg.commands.map``.

Successor of ``scripts/fedmsg-map.py`` of 1.1.7 (packaging.md 4 and PD-9).
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

import zmq

import fedmsg.config
from fedmsg._arguments import complete
from fedmsg._bounded import bounded
from fedmsg.commands import guarded
from fedmsg.commands.checks.network import answering, resolved
from fedmsg.exceptions import MissingEndpoints
from fedmsg.transports import as_list

__all__ = ["bus_map"]

#: Longest wait for the name of this machine, seconds.
_NAME_SECONDS = 2.0


def bus_map(argv: Sequence[str] | None = None) -> int | None:
    """Ask every address of ``endpoints`` whether a publisher is there, and print that.

    Args:
        argv: the command line without the program; default ``sys.argv[1:]``.

    Returns:
        None, or 1 if the configuration is wrong.

    Raises:
        SystemExit: the command line is wrong (2), or asks for help (0).
    """
    arguments = complete(parser()).parse_args(argv)
    return guarded(lambda: _show(arguments))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="python -m fedmsg.commands.map",
        description="Ask every tcp:// address in 'endpoints' whether a publisher answers there"
        " within a second.  Prints the percentage as a line for collectd's exec plug-in, which"
        " starts the command again in every interval; with 'verbose' a table.",
    )
    made.add_argument("verbose", nargs="?", choices=["verbose"], help="print a table")
    made.add_argument("--config-filename", help="read this configuration file only")
    return made


def _show(arguments: argparse.Namespace) -> None:
    endpoints = _endpoints(arguments.config_filename)
    texts = [text for _, text in endpoints]
    targets, _ = resolved("endpoints", texts)
    answered = answering(list(targets.values()), zmq.SUB)
    up = {text for text, target in targets.items() if target in answered}
    if arguments.verbose:
        for name, text in endpoints:
            print(f"{'up' if text in up else 'down':<5} {name!s:<30} {text!r}")
        return
    share: Any = "U" if not texts else f"{100 * sum(each in up for each in texts) / len(texts):.1f}"
    print(f"PUTVAL {_this_machine()}/fedmsg/percent interval=5 {int(time.time())}:{share}")


def _endpoints(filename: str | None) -> list[tuple[str, str]]:
    """Return name and address of every TCP endpoint."""
    try:
        config = fedmsg.config.load_config(filenames=[filename] if filename else None)
    except MissingEndpoints as error:
        if error.files:
            raise
        config = fedmsg.config.loopback(error.config, tell=False)
    found = sorted(config["endpoints"].items())
    return [(name, text) for name, value in found for text in as_list(value)
            if text.startswith("tcp://")]  # fmt: skip


def _this_machine() -> str:
    try:
        return bounded(socket.getfqdn, _NAME_SECONDS)
    except TimeoutError:
        return socket.gethostname()


if __name__ == "__main__":
    # Under the name of the module: load_config warns applications, and takes __main__ for one.
    from fedmsg.commands.map import bus_map as main

    sys.exit(main())
