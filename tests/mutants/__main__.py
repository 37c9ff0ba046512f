"""Put faults into modules, and see whether tests notice: ``make mutation``."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from . import running
from .operators import Mutant, mutants

#: Modules, and the tests that are about them.
_TESTS = {
    "fedmsg/envelope": ["tests/unit/test_envelope.py", "tests/property/test_envelope.py"],
    "fedmsg/crypto": [
        "tests/unit/crypto", "tests/property/test_crypto.py", "tests/unit/test_signed_publish.py",
    ],
    "fedmsg/replay": ["tests/unit/replay", "tests/property/test_tracker.py"],
    "fedmsg/transports/stomp": ["tests/stomp_transport"],
    "fedmsg/consumers": ["tests/unit/consumers"],
}  # fmt: skip
#: Survivors that no test should kill: below a reason, which begins with #, module and name.
_EXPLAINED = Path(__file__).with_name("explained.txt")
_WHY = "explained"
_COLUMNS = (running.KILLED, running.TIMEOUT, _WHY, running.SURVIVED, running.NOT_RUN)
_ROW = "{:<38} {:>8} {:>6}" + " {:>9}" * len(_COLUMNS)


def main() -> int:
    """Print a row for each module and a line for each survivor; 1 if one is not explained."""
    args = _arguments()
    os.nice(19)
    running.preload()
    print(_ROW.format("module", "possible", "tried", *_COLUMNS), flush=True)
    survivors, results = 0, []
    tests, baseline = None, None
    for module in args.modules:
        wanted = args.tests or _tests_of(module)
        if baseline is None or wanted != tests:
            tests, baseline = wanted, _baseline(wanted, args.baseline)
            baseline.by_line = not args.tests
        found = _module(Path(module).resolve(), baseline, args)
        results.append({"module": module, **found})
        survivors += len(found["survivors"])
        if args.output:
            args.output.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if survivors else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("modules", nargs="+", help="files of the package")
    parser.add_argument("--sample", type=int, help="mutants of a module, drawn by the seed")
    parser.add_argument("--skip", type=int, default=0, help="the first of the sample")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--line", type=int, action="append", help="only mutants of this line")
    parser.add_argument("--tests", action="append", help="all of these, whatever their lines")
    parser.add_argument("--seconds", type=float, default=8.0, help="of tests for a mutant")
    parser.add_argument("--baseline", type=Path, help="keep what the tests do in files here")
    parser.add_argument("--output", type=Path, help="write the results as JSON")
    return parser.parse_args()


def _tests_of(module: str) -> list[str]:
    return next(tests for start, tests in _TESTS.items() if module.startswith(start))


def _baseline(tests: list[str], folder: Path | None) -> running.Baseline:
    """Run the tests without a mutant, or read what they did before."""
    if folder is None:
        return running.measured(tests)
    path = folder / f"{tests[0].replace('/', '-')}.json"
    if path.exists():
        return running.Baseline(json.loads(path.read_text()))
    baseline = running.measured(tests)
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(baseline.found))
    return baseline


def _names(possible: list[Mutant]) -> dict[Mutant, str]:
    """Return what mutants are called; of those that are alike all but the first have a number."""
    seen: Counter[str] = Counter()
    names = {}
    for mutant in possible:
        seen[mutant.name] += 1
        number = f"  #{seen[mutant.name]}" if seen[mutant.name] > 1 else ""
        names[mutant] = mutant.name + number
    return names


def _module(path: Path, baseline: running.Baseline, args: argparse.Namespace) -> dict[str, Any]:
    source, name = path.read_text(encoding="utf-8"), str(path.relative_to(Path.cwd()))
    possible = mutants(source)
    names = _names(possible)
    tried = random.Random(args.seed).sample(possible, len(possible))[args.skip : args.sample]
    tried = [each for each in tried if not args.line or each.line in args.line]
    explained = set(_EXPLAINED.read_text(encoding="utf-8").splitlines())
    counts: Counter[str] = Counter()
    survivors = []
    for mutant in sorted(tried, key=lambda mutant: mutant.line):
        outcome = running.outcome(path, source, mutant, baseline, args.seconds)
        text = f"{name}: {names[mutant]}"
        if outcome in (running.SURVIVED, running.NOT_RUN):
            outcome = _WHY if text in explained else outcome
        counts[outcome] += 1
        if outcome in (running.SURVIVED, running.NOT_RUN):
            survivors.append(text)
        if outcome not in (running.KILLED, _WHY):
            print(f"{outcome}, line {mutant.line}\n{text}", flush=True)
    figures = [counts[column] for column in _COLUMNS]
    print(_ROW.format(name, len(possible), len(tried), *figures), flush=True)
    return {"possible": len(possible), "tried": len(tried), **counts, "survivors": survivors}


if __name__ == "__main__":
    sys.exit(main())
