"""The benchmarks run.  What they measure is asserted nowhere: it depends on the machine."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from brokers import RabbitMQ

pytestmark = pytest.mark.once

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m benchmarks`` as ``make bench`` does."""
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=290,
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory: Linux only")
@pytest.mark.timeout(300)
def test_every_bar_is_measured(tmp_path: Path) -> None:
    """A smoke run prints a row and writes a figure for every bar, and leaves nothing behind."""
    before = set(ROOT.iterdir())
    bars = set(re.findall(r'Bar\(\s*"([^"]+)"', (ROOT / "benchmarks" / "bars.py").read_text()))
    only = [f"--only={name}" for name in bars]
    done = run("--quick", *only, f"--output={tmp_path / 'figures.json'}")
    assert done.returncode == 0, done.stdout
    rows = json.loads((tmp_path / "figures.json").read_text())["rows"]
    if RabbitMQ.missing() and not os.environ.get("CI"):
        bars.remove("stomp-rate")
    assert set(rows) == bars
    assert all(math.isfinite(row["value"]) and row["medians"] for row in rows.values()), rows
    assert {line.split(" | ")[0] for line in done.stdout.splitlines()} >= {f"| {b}" for b in bars}
    assert set(ROOT.iterdir()) == before


@pytest.mark.timeout(300)
def test_peers_are_measured(tmp_path: Path) -> None:
    """A smoke run of three systems writes rates and latencies of each, as JSON, table and plot."""
    systems = ["fedmsg", "fedmsg, through its relay", "pyzmq by hand"]
    chosen = [f"--system={name}" for name in systems]
    done = run("--quick", "--only=peers", *chosen, f"--record={tmp_path}")
    assert done.returncode == 0, done.stdout
    peers = json.loads((tmp_path / "results.json").read_text())["peers"]
    assert [peer["name"] for peer in peers] == systems
    figures = [value for peer in peers for value in peer["figures"].values()]
    assert len(figures) == 4 * len(systems)
    assert all(math.isfinite(value) and value > 0 for value in figures), figures
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert {line.split(" | ")[0] for line in lines} >= {f"| {name}" for name in systems}
    assert "pyzmq by hand" in "".join(ElementTree.parse(tmp_path / "plot.svg").getroot().itertext())


def test_an_unknown_bar_is_an_error() -> None:
    """A name that is not in the table is refused, with the names that are."""
    done = run("--only=speed")
    assert (done.returncode, "publish-100" in done.stdout) == (2, True)
