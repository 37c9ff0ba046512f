"""A long run: ``make fuzz``, or ``python -m fuzz --executions=10000000`` in ``tests``."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from fuzz import running, targets

_ROW = "{:<18} {:>12} {:>12} {:>10}"


def main() -> int:
    """Run all targets, print a row for each, and return the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000_000, help="of all targets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    names = [each.__name__ for each in targets.TARGETS]
    share = -(-args.executions // len(names))
    figures: dict[str, Any] = {"seed": args.seed, "targets": {}}
    print(_ROW.format("target", "executions", "accepted", "seconds"))
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, spawn) as pool:
        runs = {name: pool.submit(running.named, name, args.seed, share) for name in names}
        for name, run in runs.items():
            outcome = run.result()
            figures["targets"][name] = outcome._asdict()
            executions, accepted, seconds = outcome
            print(_ROW.format(name, executions, accepted, f"{seconds:.0f}"), flush=True)
    figures["executions"] = sum(each["executions"] for each in figures["targets"].values())
    print(_ROW.format("all", figures["executions"], "", ""))
    if args.output:
        args.output.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
