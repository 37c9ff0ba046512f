"""The arithmetic of the benchmarks' record, its table and its plot."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def module() -> Iterator[Callable[[str], ModuleType]]:
    """A function that imports a module of the benchmarks."""
    sys.path.append(str(ROOT))
    yield lambda name: importlib.import_module(f"benchmarks.{name}")
    sys.path.remove(str(ROOT))


def peer(name: str, **changes: Any) -> dict[str, Any]:
    """Return the entry of a system."""
    return {
        "name": name, "promise": "queued", "versions": {"lib": "1.0"}, "missing": "",
        "failed": False, "samples": {},
        "figures": {"calls/s": 5000.0, "messages/s": 4000.0, "median, ms": 0.5, "p99, ms": 2.0},
        **changes,
    }  # fmt: skip


def bar(**changes: Any) -> dict[str, Any]:
    """Return the entry of a bar."""
    return {
        "what": "`a` / b", "unit": "x", "limit": 1.25, "at_most": True, "old": "5", "value": 1.0,
        "holds": True, "medians": {"a, us": 1234.5}, "samples": {}, **changes,
    }  # fmt: skip


def document(*peers: dict[str, Any], **rows: dict[str, Any]) -> dict[str, Any]:
    """Return a record."""
    return {"machine": {"load": "0.1"}, "rows": rows, "missing": [], "peers": list(peers)}


def peer_lines(module: Callable[[str], ModuleType], *peers: dict[str, Any]) -> list[str]:
    """Return the lines of the table of systems and of what is below it."""
    return "\n".join(module("report").peer_rows(peers)).splitlines()


def test_ratios_are_to_the_first_system(module: Callable[[str], ModuleType]) -> None:
    """Behind each figure is the first system's, divided by it."""
    slow = {"calls/s": 40.0, "messages/s": 400.0, "median, ms": 5.0, "p99, ms": 1.0}
    lines = peer_lines(module, peer("ours"), peer("slow", figures=slow))
    assert lines[2] == "| ours | 5,000 | 4,000 | 0.5 | 2 |"
    assert lines[3] == "| slow | 40 (120x) | 400 (10x) | 5 (0.1x) | 1 (2x) |"


def test_what_is_missing_is_said(module: Callable[[str], ModuleType]) -> None:
    """A system without figures has no row, and a line with the reason; a failure says its end."""
    absent = peer("absent", figures={}, missing="redis-server (Debian)")
    reason = "RuntimeError: it ended\nmore\nthe end"
    broken = peer("broken", figures={}, missing=reason, failed=True)
    lines = peer_lines(module, absent, peer("there"), broken)
    assert lines[2:] == [
        "| there | 5,000 | 4,000 | 0.5 | 2 |",
        "",
        "- absent: not measured, no redis-server (Debian)",
        "- there: queued (lib 1.0)",
        "- broken: not measured, failed: RuntimeError: it ended the end",
    ]


def test_standing(module: Callable[[str], ModuleType]) -> None:
    """Rates are medians of rounds; latencies are quantiles of all messages."""
    standing = module("peers.trial").Standing("a", "b")
    standing.calls, standing.messages = [1.0, 9.0, 2.0], [3.0, 1.0, 2.0]
    standing.latencies = [float(number) for number in range(101)]
    assert list(standing.figures.values()) == [2.0, 2.0, 50.0, 99.0]


def test_a_system_that_fails_is_left_out(module: Callable[[str], ModuleType]) -> None:
    """One whose program ends at once has no figures and says why; the others are measured."""
    systems, trial = module("peers.systems"), module("peers.trial")

    def no_address(*_arguments: Any) -> dict[str, Any]:
        return {}

    def system(name: str, **options: Any) -> Any:
        return systems.System(name, "", "pyzmq", **{"start": systems._no_server, **options})

    failing, absent = (
        system("failing", start=no_address),
        system("absent", python=Path("/no/python")),
    )
    found = trial.measure(True, [failing, absent, system("working")])
    assert [each.failed for each in found] == [True, False, False]
    assert "has ended" in found[0].missing and "KeyError: 'address'" in found[0].missing
    assert "/no/python" in found[1].missing
    assert [bool(each.figures) for each in found] == [False, False, True]


def test_a_bar_that_fails_is_left_out(
    module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose measurement fails, or lacks something, has a line that says so; others go on."""
    bars, main = module("bars"), module("__main__")

    def failing(_quick: bool) -> Any:
        raise TimeoutError("no | sign\nfor 60 s")

    def working(_quick: bool) -> Any:
        return module("measure").Result(1.0, {"a": 1.0})

    table = (
        bars.Bar("failing", "a", "x", 1, failing),
        bars.Bar("absent", "b", "x", 1, failing, missing=lambda: "broker"),
        bars.Bar("working", "c", "x", 1, working),
    )
    monkeypatch.setattr(main, "BARS", table)
    found = main._measured_bars(None, True)
    assert (found["failed"], list(found["rows"])) == (["failing"], ["working"])
    assert found["missing"] == [
        "| failing | a |  | not measured: TimeoutError: no / sign for 60 s |  |  |  |",
        "| absent | b |  | not measured: no broker |  |  |  |",
    ]


def test_scale(module: Callable[[str], ModuleType]) -> None:
    """Whole powers of ten around the values are evenly apart."""
    scale = module("plot").Scale([20.0, 3000.0], 100, 300)
    assert (scale.low, scale.high) == (1, 4)
    assert [scale(value) for value in (10.0, 1000.0, 10000.0)] == [100, 300, 400]
    alone = module("plot").Scale([10.0], 0, 10)
    assert (alone.low, alone.high) == (1, 2)


@pytest.mark.parametrize(
    ("entry", "share"),
    [
        (bar(value=1.0), 0.8),
        (bar(value=0.5, limit=0.4, at_most=False), 0.8),
        (bar(value=-1.25), -1),
    ],
)
def test_share(module: Callable[[str], ModuleType], entry: dict[str, Any], share: float) -> None:
    """A figure that is at most, or at least, its limit takes no more than the whole of it."""
    assert module("plot").share_of_limit(entry) == pytest.approx(share)


def test_plot(module: Callable[[str], ModuleType]) -> None:
    """A row for each system with figures, and a bar for each limit; what is beyond it is marked."""
    rows = {"good": bar(), "bad": bar(value=9.0, holds=False), "lost": bar(limit=0, value=0.0)}
    picture = module("plot").svg(document(peer("a<b"), peer("none", figures={}), **rows))
    root = ElementTree.fromstring(picture)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"a<b", "good", "bad"} <= set(texts) and not {"none", "lost"} & set(texts)
    bars = [element.get("class") for element in root.iter(f"{SVG}rect")]
    assert bars == ["card", "ours", "over"]
    assert len(list(root.iter(f"{SVG}circle"))) == 4


def test_nothing_to_plot(module: Callable[[str], ModuleType]) -> None:
    """A record without figures is a picture too."""
    ElementTree.fromstring(module("plot").svg(document()))


def test_record(module: Callable[[str], ModuleType], tmp_path: Path) -> None:
    """Three files; the JSON is the document, the table has a row for each bar."""
    given = document(peer("a"), good=bar(), bad=bar(value=9.0, holds=False))
    module("report").record(given, tmp_path / "new")
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == [
        "plot.svg", "results.json", "results.md",
    ]  # fmt: skip
    assert json.loads((tmp_path / "new" / "results.json").read_text()) == given
    lines = (tmp_path / "new" / "results.md").read_text().splitlines()
    assert "| good | `a` / b | <= 1.25 x | 1 x | yes | 5 | a, us: 1,234 |" in lines
    assert "| bad | `a` / b | <= 1.25 x | 9 x | NO | 5 | a, us: 1,234 |" in lines
