"""What a program pays before its first message has left."""

from __future__ import annotations

import functools
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from .measure import DEADLINE, Result, free_address, interleave

_FIRST_PUBLISH = """
import time
start = time.perf_counter()
import fedmsg
endpoints = {{"bench": ["{address}"]}}
fedmsg.init(name="bench", endpoints=endpoints, environment="dev", post_init_sleep=0)
fedmsg.publish(topic="thing.happened", msg={{"build": 4711}})
print(time.perf_counter() - start)
"""
_RAW_FIRST_PUBLISH = """
import time
start = time.perf_counter()
import zmq
from benchmarks.raw import RawPublisher
RawPublisher(zmq.Context(), "{address}").publish("thing.happened", {{"build": 4711}})
print(time.perf_counter() - start)
"""
_MODULES = "import json, sys; print(json.dumps(sorted(sys.modules)))"


def _run(code: str) -> str:
    """Run a fresh interpreter and return what it prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=DEADLINE
    )
    return done.stdout.decode()


def _wall(code: str) -> float:
    """Return the milliseconds of a fresh interpreter from its start to its end."""
    start = time.perf_counter()
    _run(code)
    return (time.perf_counter() - start) * 1000


def import_time(quick: bool) -> Result:
    """Compare the wall times of two imports, without that of the interpreter."""
    sides: dict[str, Callable[[], float]] = {
        "bare Python, ms": functools.partial(_wall, "pass"),
        "import zmq, ms": functools.partial(_wall, "import zmq"),
        "import fedmsg, ms": functools.partial(_wall, "import fedmsg"),
    }
    interleave(sides, 1)  # writes the bytecode
    samples = interleave(sides, 3 if quick else 41)
    bare, zmq, fedmsg = (statistics.median(samples[name]) for name in sides)
    medians = dict(zip(sides, (bare, zmq, fedmsg), strict=True))
    return Result((fedmsg - bare) / max(zmq - bare, 1e-3), medians, samples)


def import_modules(quick: bool) -> Result:  # noqa: ARG001  there is nothing to shorten
    """Count the modules that an import loads and a bare interpreter has not."""
    bare = set(json.loads(_run(_MODULES)))
    figures = {
        f"import {name}": float(len(set(json.loads(_run(f"import {name}; {_MODULES}"))) - bare))
        for name in ("zmq", "fedmsg")
    }
    return Result(figures["import fedmsg"], figures)


def first_publish(quick: bool) -> Result:
    """Measure import, init and the first publish, within a fresh interpreter.

    The same by hand is measured beside it: most of the time is that of ``import zmq``.
    """

    def inside(code: str) -> float:
        return float(_run(code.format(address=free_address()))) * 1000

    sides: dict[str, Callable[[], float]] = {
        "fedmsg, ms": functools.partial(inside, _FIRST_PUBLISH),
        "raw, ms": functools.partial(inside, _RAW_FIRST_PUBLISH),
    }
    interleave(sides, 1)  # writes the bytecode
    samples = interleave(sides, 3 if quick else 21)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return Result(medians["fedmsg, ms"], medians, samples)
