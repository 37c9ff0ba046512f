"""The dashboard and the page on metrics show what exists, and all of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fedmsg.hub.series import DAEMONS, SERIES

DOCS = Path(__file__).resolve().parents[1] / "docs"
#: What prometheus_client adds to the name of a histogram.
SUFFIXES = ("_bucket", "_sum", "_count")
#: Of every process with prometheus_client.
OTHERS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}


@pytest.fixture(scope="module")
def dashboard() -> Any:
    """The dashboard, parsed."""
    path = DOCS / "grafana-dashboard.json"
    if not path.exists():
        pytest.skip("there is no source tree")
    return json.loads(path.read_text())


def queries(dashboard: Any) -> list[str]:
    """Return every query of a dashboard."""
    variables = [each.get("query", "") for each in dashboard["templating"]["list"]]
    return variables + [t["expr"] for panel in dashboard["panels"] for t in panel["targets"]]


def used(text: str) -> set[str]:
    """Return the names of series in a text."""
    return set(re.findall(r"\b(?:fedmsg|process)_[a-z_]+", text))


def base(name: str) -> str:
    """Return the name under which a series is declared."""
    found = next((name.removesuffix(s) for s in SUFFIXES if name.endswith(s)), name)
    return found if SERIES.get(found, SERIES["fedmsg_ready"]).kind == "histogram" else name


def test_dashboard_uses_what_exists(dashboard: Any) -> None:
    """Every series of the dashboard exists, and every series is on it."""
    names = {base(name) for query in queries(dashboard) for name in used(query)}
    assert names - OTHERS == set(SERIES)


def test_dashboard_uses_labels_that_exist(dashboard: Any) -> None:
    """What a panel groups by, and names in its legend, are labels of its series."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            known = {"job", "instance", "le"}
            for name in used(target["expr"]):
                known |= set(SERIES[base(name)].labels if base(name) in SERIES else ())
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            asked = {label.strip() for group in grouped for label in group.split(",")}
            asked |= set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert asked <= known, panel["title"]


def test_dashboard_form(dashboard: Any) -> None:
    """Panels have their own ids and places, and read the data source that is chosen."""
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
    assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}


def test_page_names_every_series() -> None:
    """The manual has every series with its labels, no other, and every daemon."""
    path = DOCS / "metrics.rst"
    if not path.exists():
        pytest.skip("there is no source tree")
    text = path.read_text()
    assert {name for name in used(text) if name.startswith("fedmsg_")} == set(SERIES)
    for name, each in SERIES.items():
        line = next(line for line in text.splitlines() if line.startswith(f"``{name}``"))
        assert all(f"``{label}``" in line for label in each.labels), name
    assert all(f"``{name}``" in text for name in DAEMONS)
