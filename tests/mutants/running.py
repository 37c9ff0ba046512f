"""Running tests against one mutant, each time in a child that has imported nothing of ours yet.

Nothing is written into the tree: the import system hands out the changed module.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

from .operators import Mutant

#: What tests import besides the package: loaded once, for it takes longest.
_LARGE = (
    "hypothesis", "cryptography.x509", "OpenSSL", "requests", "sqlalchemy.orm", "stomp", "zmq",
)  # fmt: skip
#: So many tests, the fastest, run before the others.
_FIRST = 12
#: Exit statuses of a child.
_UNUSED, _BROKEN = 70, 71
#: Assertions are plain: pytest would load our modules itself, to rewrite those in them.
_ARGUMENTS = (
    "-m", "not broker and not peer", "--assert=plain",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",
    "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=mutants",
)  # fmt: skip

KILLED, SURVIVED, TIMEOUT, NOT_RUN = "killed", "survived", "timeout", "no test"


class Baseline:
    """What the tests do when nothing is wrong.

    Attributes:
        lines: file -> line -> tests that run it; import runs a line for no test.
        durations: test -> seconds.
        by_line: choose tests by the line, not all; a line may be run in a child process only.
    """

    def __init__(self, found: dict[str, Any], by_line: bool = True) -> None:
        self.by_line = by_line
        self.found = found
        self.lines: dict[str, dict[str, list[str]]] = found["lines"]
        self.durations: dict[str, float] = found["durations"]

    def tests_for(self, path: Path, mutant: Mutant, seconds: float) -> list[str]:
        """Return the tests to run, the fastest first, none if none reaches the mutant.

        Args:
            path: of the module.
            mutant: one of it.
            seconds: the tests last no longer than that if nothing is wrong; one is run always.
        """
        lines = self.lines.get(str(path), {})
        known = [lines[str(line)] for line in mutant.lines if str(line) in lines]
        tests = {test for each in known for test in each if test}
        if not self.by_line:
            tests = set(self.durations)
        elif known and not tests:  # a module is imported for all of its tests
            tests = {test for each in lines.values() for test in each if test}
        chosen, left = [], seconds
        for test in sorted(tests, key=lambda test: self.durations.get(test, 0.0)):
            left -= self.durations.get(test, 0.0)
            if chosen and left < 0:
                break
            chosen.append(test)
        return chosen


def preload() -> None:
    """Import what is large, before the first child is made."""
    for name in _LARGE:
        importlib.import_module(name)
    from hypothesis import Phase, settings

    # A failure is enough: it need not be made small.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", derandomize=True, database=None, phases=phases)
    pki = importlib.import_module("pki")
    # Keys that tests would make each time.
    for label in ("ca", "leaf", "second", "other", "other ca"):
        pki.rsa_key(label)
    pki.rsa_key("short", 1024)
    pki.other_key("dsa")


def measured(tests: list[str]) -> Baseline:
    """Run the tests without a mutant.

    Raises:
        RuntimeError: one of them fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "baseline.json")
        code = _in_child(lambda: _measure(tests, output, folder), 1800.0)
        if code:
            raise RuntimeError(f"the tests fail without a mutant (exit status {code})")
        return Baseline(json.loads(output.read_text()))


def _measure(tests: list[str], output: Path, folder: str) -> int:
    import coverage

    recorder = _Recorder(coverage.Coverage(data_file=None, config_file=False, include=["fedmsg/*"]))
    recorder.coverage.start()
    code = pytest.main([*_ARGUMENTS, f"--basetemp={folder}/tests", *tests], [recorder])
    recorder.coverage.stop()
    data = recorder.coverage.get_data()
    lines = {name: data.contexts_by_lineno(name) for name in data.measured_files()}
    output.write_text(json.dumps({"lines": lines, "durations": recorder.durations}))
    return int(code)


class _Recorder:
    """A plug-in of pytest that records which test runs which line, and how long tests take."""

    def __init__(self, coverage: Any) -> None:
        self.coverage = coverage
        self.durations: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.durations[report.nodeid] = self.durations.get(report.nodeid, 0.0) + report.duration


class _Selection:
    """A plug-in of pytest that runs some tests, in the order given within each file."""

    def __init__(self, tests: list[str]) -> None:
        self._place = {test: place for place, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._place]
        first: dict[Any, int] = {}
        for item in sorted(chosen, key=lambda item: self._place[item.nodeid]):
            first.setdefault(item.path, self._place[item.nodeid])
        items[:] = sorted(chosen, key=lambda item: (first[item.path], self._place[item.nodeid]))


def outcome(path: Path, source: str, mutant: Mutant, baseline: Baseline, seconds: float) -> str:
    """Return what becomes of a mutant; for ``seconds`` see :meth:`Baseline.tests_for`."""
    tests = baseline.tests_for(path, mutant, seconds)
    if not tests:
        return NOT_RUN
    outcomes = (
        _of_batch(path, source, mutant, batch, sum(baseline.durations[test] for test in batch))
        for batch in (tests[:_FIRST], tests[_FIRST:])
        if batch
    )
    return next((each for each in outcomes if each != SURVIVED), SURVIVED)


def _of_batch(path: Path, source: str, mutant: Mutant, tests: list[str], seconds: float) -> str:
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["-x", *_ARGUMENTS, f"--basetemp={folder}/tests", *files]

        def run() -> int:
            loaded = _install(path, mutant, source)
            code = int(pytest.main(arguments, [_Selection(tests)]))
            return code if loaded else _UNUSED

        code = _in_child(run, 30.0 + 5 * seconds)
    if code == _UNUSED:
        raise RuntimeError(f"the tests of {path} do not import it")
    if code == _BROKEN:
        raise RuntimeError(f"pytest ended badly with {mutant.name}")
    return TIMEOUT if code is None else KILLED if code else SURVIVED


def _install(path: Path, mutant: Mutant, source: str) -> list[str]:
    """Have the module imported as the mutant is; its name is in the result then."""
    loaded: list[str] = []
    code = compile(mutant.tree(source), str(path), "exec")
    original: Any = SourceFileLoader.get_code

    def get_code(loader: Any, name: str) -> Any:
        if loader.path != str(path):
            return original(loader, name)
        loaded.append(name)
        return code

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]
    return loaded


def _in_child(run: Callable[[], int], limit: float) -> int | None:
    """Return the status of a function in a child; None if it was killed after so many seconds."""
    child = os.fork()
    if not child:
        status = _BROKEN
        try:
            os.setpgid(0, 0)
            quiet = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2) if "MUTANTS_VERBOSE" not in os.environ else ():
                os.dup2(quiet, descriptor)
            status = run()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    process = os.pidfd_open(child)
    ended, _, _ = select.select([process], [], [], limit)
    os.close(process)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # with what the tests have started
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None
