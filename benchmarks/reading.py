"""What it costs to say messages in words, with many packages of processors installed.

By hand it is a loop over the regular expressions of the same processors, made without looking for
entry points; the processors' own methods are called by both sides, with the same configuration.
"""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .measure import DEADLINE, Result, compare, interleave

_PACKAGES, _EACH, _EVENTS = 10, 10, 5

_PROCESSORS = """
from fedmsg.meta.base import BaseProcessor

class Processor(BaseProcessor):
    __description__ = __link__ = __docs__ = __obj__ = "of a benchmark"

    def subtitle(self, msg, **config):
        return "{user} built {package}".format(**msg["msg"])

    def link(self, msg, **config):
        return "https://build.test/{build}".format(**msg["msg"])
"""
_CLASS = """
class Processor{number}(Processor):
    __name__ = "service{number}"
"""

_BEGIN = """
import importlib, json, sys, time
import fedmsg.config, fedmsg.meta
site, count, packages = json.loads(sys.argv[1])
sys.path.insert(0, site)
topics = json.load(open(site + "/topics.json"))
messages = [
    {"topic": topic, "msg": {"user": "ralph", "package": "kernel", "build": number}}
    for number, topic in enumerate(topics[:count])
]
config = {**fedmsg.config.defaults, "topic_prefix_re": r"org\\.fedoraproject\\.(dev|stg|prod)"}
start = time.process_time()
"""
_FEDMSG = """
fedmsg.meta.make_processors(**config)
for message in messages:
    text = fedmsg.meta.msg2repr(message, **config)
"""
_RAW = """
processors = []
for package in packages:
    for cls in vars(importlib.import_module(package)).values():
        if isinstance(cls, type) and "Processor" < cls.__name__ < "Processora":
            processors.append(cls(str, **config))
pairs = [(processor.__prefix__, processor) for processor in processors]
for message in messages:
    topic = message["topic"]
    for pattern, processor in pairs:
        if pattern.match(topic) is not None:
            break
    title = processor.title(message, **config)
    subtitle = processor.subtitle(message, **config)
    text = f"{title} -- {subtitle} {processor.link(message, **config)}"
"""
_END = """
print(time.process_time() - start)
assert text.startswith("service") and text.endswith("/%d" % (count - 1)), text
"""


def measure(quick: bool) -> Result:
    """Compare the CPU times of making the processors and saying 10,000 messages."""
    site = Path.cwd() / "site"
    packages = _install(site)
    argument = json.dumps([str(site), 500 if quick else 10_000, packages])

    def side(code: str) -> float:
        command = [sys.executable, "-c", _BEGIN + code + _END, argument]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True, timeout=DEADLINE
        )
        return float(done.stdout) * 1000

    sides: dict[str, Callable[[], float]] = {
        "fedmsg, ms": functools.partial(side, _FEDMSG),
        "raw, ms": functools.partial(side, _RAW),
    }
    interleave(sides, 1)  # writes the bytecode
    return compare(*sides, interleave(sides, 2 if quick else 21))


def _install(site: Path) -> list[str]:
    """Install packages with processors in a directory; return the names of their modules."""
    site.mkdir(exist_ok=True)
    names = []
    for package in range(_PACKAGES):
        name = f"bench_meta_{package}"
        names.append(name)
        numbers = range(package * _EACH, (package + 1) * _EACH)
        source = _PROCESSORS + "".join(_CLASS.format(number=number) for number in numbers)
        (site / f"{name}.py").write_text(source)
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        points = [f"service{number} = {name}:Processor{number}" for number in numbers]
        (info / "entry_points.txt").write_text("\n".join(["[fedmsg.meta]", *points, ""]))
    services = range(_PACKAGES * _EACH)
    topics = [
        f"org.fedoraproject.prod.service{service}.event{event}"
        for service in services
        for event in range(_EVENTS)
    ]
    chosen = random.Random(7).choices(topics, k=10_000)
    (site / "topics.json").write_text(json.dumps(chosen))
    return names
