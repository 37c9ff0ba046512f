"""``python -m benchmarks``: measure every bar and say which hold."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .bars import BARS, Bar
from .measure import Result, machine

_EPILOG = """
exit status: 0 every bar holds; 1 one does not.  --quick makes a smoke run: its figures mean
nothing, so that only a measurement that fails is an error.

examples:
  python -m benchmarks --output=figures.json
  python -m benchmarks --only=tail-1 --only=tail-500
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print a table, and return the exit status."""
    arguments = _parser().parse_args(argv)
    bars = [bar for bar in BARS if not arguments.only or bar.name in arguments.only]
    # The directory is left before anything is measured.
    output = arguments.output and Path(arguments.output).resolve()
    about = machine()
    print("; ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    print(f"\n{_row(*_HEADER)}\n{_row(*('---' for _ in _HEADER))}", flush=True)
    results: dict[str, Result] = {}
    with _clean_surroundings():
        for bar in list(bars):
            if missing := bar.missing():
                print(_row(bar.name, bar.what, "", f"not measured: no {missing}", "", "", ""))
                bars.remove(bar)
                continue
            results[bar.name] = bar.measure(arguments.quick)
            print(_described(bar, results[bar.name]), flush=True)
    if output:
        output.write_text(json.dumps(_document(about, arguments.quick, bars, results), indent=1))
    failed = [bar.name for bar in bars if not bar.holds(results[bar.name].value)]
    if failed:
        print(f"\nnot within the bar: {', '.join(failed)}", flush=True)
    return int(bool(failed) and not arguments.quick)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare fedmsg with the same work done by hand.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", metavar="FILE", help="write the figures there, as JSON")
    parser.add_argument("--quick", action="store_true", help="a smoke run of a few seconds")
    parser.add_argument(
        "--only", metavar="NAME", action="append", choices=[bar.name for bar in BARS],
        help="measure this one; may be repeated: " + ", ".join(bar.name for bar in BARS),
    )  # fmt: skip
    return parser


_HEADER = ("name", "what", "bar", "measured", "holds", "1.1.7", "medians")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _described(bar: Bar, result: Result) -> str:
    return _row(
        bar.name,
        bar.what,
        f"{'<=' if bar.at_most else '>='} {bar.limit:g} {bar.unit}",
        f"{result.value:.3g} {bar.unit}",
        "yes" if bar.holds(result.value) else "NO",
        bar.old,
        ", ".join(f"{name}: {_short(value)}" for name, value in result.medians.items()),
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def _document(
    about: dict[str, str], quick: bool, bars: Iterable[Bar], results: dict[str, Result]
) -> dict[str, object]:
    rows = {
        bar.name: {
            "what": bar.what,
            "unit": bar.unit,
            "limit": bar.limit,
            "at_most": bar.at_most,
            "value": results[bar.name].value,
            "holds": bar.holds(results[bar.name].value),
            "medians": results[bar.name].medians,
            "samples": results[bar.name].samples,
        }
        for bar in bars
    }
    return {"machine": about, "quick": quick, "rows": rows}


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
