"""One target for a time, or for a number of inputs."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

from . import targets
from .mutation import inputs
from .targets import Target


class Crash(AssertionError):
    """A parser raised what it must not; the text has the input, for a test of its own."""


class Outcome(NamedTuple):
    """What a run of a target amounts to.

    Attributes:
        executions: inputs given.
        accepted: those that were taken for good.
        seconds: how long it took.
    """

    executions: int
    accepted: int
    seconds: float


def fuzz(
    make: Callable[[Path], AbstractContextManager[Target]], folder: Path, seed: int,
    executions: int = 0, seconds: float = 0.0,
) -> Outcome:  # fmt: skip
    """Run a target until both limits are reached.

    Args:
        make: one of ``targets.TARGETS``.
        folder: for the target's files.
        seed: of the inputs.
        executions: fewest inputs.
        seconds: shortest time.

    Raises:
        Crash: something else was raised than the target allows, or what it asserts is wrong.
    """
    start, done, accepted = time.monotonic(), 0, 0
    with make(folder) as target, _quiet():
        next_input = inputs(seed, target.corpus, target.well_formed)
        while done < executions or time.monotonic() - start < seconds:
            data = target.corpus[done] if done < len(target.corpus) else next_input()
            try:
                accepted += target.run(data)
            except Exception as error:
                text = f"{make.__name__}, input {done} of seed {seed}: {data!r}"
                raise Crash(text) from error
            done += 1
    return Outcome(done, accepted, time.monotonic() - start)


def named(name: str, seed: int, executions: int) -> Outcome:
    """Run the target of a name, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return fuzz(getattr(targets, name), Path(folder), seed, executions)


@contextmanager
def _quiet() -> Generator[None, None, None]:
    """Log nothing: hostile input is reported, and millions of reports are of no use."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
