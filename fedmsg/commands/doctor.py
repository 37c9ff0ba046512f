"""``fedmsg-doctor``: what is wrong with the set-up of this machine, and what to do about it."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fedmsg._arguments import complete
from fedmsg._bounded import bounded
from fedmsg.commands import guarded
from fedmsg.commands.checks import LEVELS, Case, Finding, credentials, error, network, system
from fedmsg.commands.checks.broker import broker
from fedmsg.commands.checks.files import Loaded
from fedmsg.commands.checks.policy import policy

__all__ = ["doctor"]

#: Longest time of one check, seconds.
_SECONDS = 15.0
_CHECKS: list[Callable[[Case], Iterable[Finding]]] = [
    system.versions,
    system.clock,
    network.publisher,
    network.subscriber,
    network.relay,
    broker,
    credentials.certificates,
    credentials.permissions,
    policy,
]
_EPILOG = """\
exit status: 0 nothing is wrong; 1 there are warnings; 2 something cannot work, or is not safe
(or the command line is wrong)

examples:
  fedmsg-doctor                              as an application that publishes and listens
  fedmsg-doctor --as relay                   before 'fedmsg-relay' is started here
  fedmsg-doctor --as publisher --name=bodhi.app01
  fedmsg-doctor --json | jq '.findings[] | select(.level != "ok")'
"""


def doctor(argv: Sequence[str] | None = None) -> int | None:
    """Print what is found.

    Args:
        argv: the command line without the program; default ``sys.argv[1:]``.

    Returns:
        0, 1 if there are warnings, 2 if there are errors.

    Raises:
        SystemExit: the command line is wrong (2), or asks for help (0).
    """
    arguments = complete(parser()).parse_args(argv)
    return guarded(lambda: _run(arguments))


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = argparse.ArgumentParser(
        prog="fedmsg-doctor",
        description="Read the configuration as a publisher, a subscriber or a relay would, and say"
        " line by line what is wrong, with a remedy.  Nothing is changed, nothing is sent on the"
        " bus, and passwords are not shown.  Configuration files are executed, as always.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    add("--as", dest="role", choices=("publisher", "subscriber", "relay"), default="",
        help="check for this one only; default: a publisher that also listens")  # fmt: skip
    add("--name", default="", help="name of the publisher: a key of 'endpoints'")
    add("--cert-prefix", default="", help="service name of the certificate that signs")
    add("--config-filename", help="read this configuration file only")
    add("--json", action="store_true", help="print one JSON document")
    return made


def _run(arguments: argparse.Namespace) -> int:
    stdout = sys.stdout
    # What the checks make the library say is in the findings.
    logging.getLogger("fedmsg").addHandler(logging.NullHandler())
    sources: dict[str, list[str]] = {}
    try:
        loaded = bounded(lambda: Loaded(arguments.config_filename), _SECONDS)
    except TimeoutError as problem:
        findings = [error("files", f"reading them: {problem}", "look for what they wait for")]
    else:
        sources = loaded.sources
        case = Case(loaded.config, arguments.role, arguments.name, arguments.cert_prefix)
        findings = [*loaded.findings, *(each for check in _CHECKS for each in _made(check, case))]
    status = max((LEVELS[each.level] for each in findings), default=0)
    # A file that hangs may have put something else in its place.
    sys.stdout = stdout
    if arguments.json:
        shown: dict[str, Any] = {"status": status, "sources": sources}
        shown["findings"] = [each._asdict() for each in findings]
        print(json.dumps(shown, indent=2))
    else:
        _print(findings)
    return status


def _made(check: Callable[[Case], Iterable[Finding]], case: Case) -> list[Finding]:
    """Return the findings of a check, or that it failed."""
    try:
        return bounded(lambda: list(check(case)), _SECONDS)
    except Exception as problem:  # noqa: BLE001  the other checks go on
        text = f"this check failed: {type(problem).__name__}: {problem}"
        return [error(check.__name__, text, "correct what the text names; else it is a bug")]


def _print(findings: Sequence[Finding]) -> None:
    for each in findings:
        print(f"{each.level:<8} {each.check:<14} {each.text}")
        if each.remedy:
            print(f"{'':<8} {'':<14} -> {each.remedy}")
    counts = {level: sum(each.level == level for each in findings) for level in LEVELS}
    print(f"{counts['error']} errors, {counts['warning']} warnings")
