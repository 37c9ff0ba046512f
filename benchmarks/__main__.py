"""``python -m benchmarks``: measure every bar and say which hold."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import report
from .bars import BARS
from .measure import load, machine
from .peers import trial
from .peers.systems import SYSTEMS

_PEERS = "peers"
_EPILOG = """
exit status: 0 every bar holds; 1 one does not, or a measurement failed.  --quick makes a smoke run:
its figures mean nothing, so that only a measurement that fails is an error.

examples:
  python -m benchmarks --output=figures.json
  python -m benchmarks --only=tail-1 --only=tail-500
  python -m benchmarks --only=peers --system=fedmsg --system='redis-py, PUB/SUB'
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print tables, and return the exit status."""
    arguments = _parser().parse_args(argv)
    # The directory is left before anything is measured.
    output = arguments.output and Path(arguments.output).resolve()
    record = arguments.record and Path(arguments.record).resolve()
    began, document = time.monotonic(), {"machine": machine(), "quick": arguments.quick}
    print("; ".join(f"{name} {value}" for name, value in document["machine"].items()), flush=True)
    with _clean_surroundings():
        document |= _measured_bars(arguments.only, arguments.quick)
        document["peers"] = []
        if not arguments.only or _PEERS in arguments.only:
            document["peers"] = _measured_peers(arguments.system, arguments.quick)
    document["machine"] |= {
        "load at the end": load(), "duration": f"{time.monotonic() - began:.0f} s"
    }  # fmt: skip
    if output:
        output.write_text(report.text(document), encoding="utf-8")
    if record:
        report.record(document, record)
    failed = document["failed"] + [peer["name"] for peer in document["peers"] if peer["failed"]]
    beyond = [name for name, entry in document["rows"].items() if not entry["holds"]]
    if failed:
        print(f"\nfailed: {'; '.join(failed)}", flush=True)
    if beyond:
        print(f"\nnot within the bar: {', '.join(beyond)}", flush=True)
    return int(bool(failed) or (bool(beyond) and not arguments.quick))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare fedmsg with the same work done by hand, and with what else there is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [*(bar.name for bar in BARS), _PEERS]
    systems = [system.name for system in SYSTEMS]
    parser.add_argument("--output", metavar="FILE", help="write the figures there, as JSON")
    parser.add_argument(
        "--record", metavar="DIRECTORY", help="write results.json, results.md and plot.svg there"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few seconds")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=names,
        help=f"measure this one; may be repeated: {', '.join(names)}",
    )  # fmt: skip
    parser.add_argument(
        "--system", metavar="NAME", action="append", choices=systems,
        help=f"of the peers, this one; may be repeated: {'; '.join(systems)}",
    )  # fmt: skip
    return parser


def _measured_bars(only: Sequence[str] | None, quick: bool) -> dict[str, Any]:
    """Measure the bars, print each when it is known, and return their part of the document."""
    rows: dict[str, Any] = {}
    missing: list[str] = []
    failed: list[str] = []
    bars = [bar for bar in BARS if not only or bar.name in only]
    if bars:
        print(f"\n{report.table(report.HEADER)}", flush=True)
    for bar in bars:
        try:
            if absent := bar.missing():
                line = report.bar_missing(bar, f"no {absent}")
            else:
                rows[bar.name] = report.bar_entry(bar, bar.measure(quick))
                line = report.bar_row(bar.name, rows[bar.name])
        except Exception as error:  # the others are still to be measured
            traceback.print_exc()
            failed.append(bar.name)
            line = report.bar_missing(bar, f"{type(error).__name__}: {error}")
        if bar.name not in rows:
            missing.append(line)
        print(line, flush=True)
    return {"rows": rows, "missing": missing, "failed": failed}


def _measured_peers(names: Sequence[str] | None, quick: bool) -> list[dict[str, Any]]:
    """Measure the systems, print their table, and return their part of the document."""
    systems = [system for system in SYSTEMS if not names or system.name in names]
    peers = [report.peer_entry(standing) for standing in trial.measure(quick, systems)]
    print("", *report.peer_rows(peers), sep="\n", flush=True)
    for peer in peers:
        if peer["failed"]:
            print(f"\n{peer['name']}: {peer['missing']}", file=sys.stderr, flush=True)
    return peers


@contextmanager
def _clean_surroundings() -> Iterator[None]:
    """Work in an empty directory that is also the home: no configuration file is found.

    Bytecode is kept there too, whatever the environment says: without it, imports would be
    compiled anew in every interpreter.
    """
    before, environment = Path.cwd(), dict(os.environ)
    root = str(Path(__file__).resolve().parents[1])
    with tempfile.TemporaryDirectory(prefix="fedmsg-bench-") as directory:
        os.chdir(directory)
        for name in ("FEDMSG_CONFIG", "PYTHONDONTWRITEBYTECODE", "NOTIFY_SOCKET"):
            os.environ.pop(name, None)
        os.environ.update(HOME=directory, PYTHONPATH=root, PYTHONPYCACHEPREFIX=directory)
        try:
            yield
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environment)


if __name__ == "__main__":
    sys.exit(main())
