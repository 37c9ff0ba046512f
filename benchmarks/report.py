"""What a run found, as one document: printed as Markdown, kept as JSON and as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .bars import Bar
from .measure import Result
from .peers.trial import PAUSE, Standing
from .plot import svg

#: The columns of the bars.
HEADER = ("name", "what", "bar", "measured", "holds", "1.1.7", "medians")
_PEERS = ("system", "publish, calls/s", "end to end, messages/s", "latency, median, ms",
          "latency, p99, ms")  # fmt: skip
_ABOUT_PEERS = (
    "One publisher, one subscriber and the system's own server, if it has one, on this machine; the"
    " same JSON of 1 KB, beside which fedmsg and fedora-messaging send what they add to every"
    " message.  In brackets: the first system's figure, as a multiple of this one's.  Calls count"
    " until the last has returned and what the library held has left it.  Latencies are those of"
    f" messages {PAUSE * 1000:g} ms apart.  Below the table: where a message is when `publish` has"
    " returned, and the versions."
)
_ABOUT_BARS = (
    "`x` is a ratio of medians.  The column 1.1.7 is what the release reached when the bars were"
    " set, on a machine twice as fast, and not in this run."
)


def row(*cells: str) -> str:
    """Return one line of a Markdown table."""
    return f"| {' | '.join(' '.join(cell.replace('|', '/').split()) for cell in cells)} |"


def table(header: Sequence[str]) -> str:
    """Return the first two lines of a Markdown table."""
    return f"{row(*header)}\n{row(*('---' for _ in header))}"


def bar_entry(bar: Bar, result: Result) -> dict[str, Any]:
    """Return what is kept of a bar."""
    return {
        "what": bar.what,
        "unit": bar.unit,
        "limit": bar.limit,
        "at_most": bar.at_most,
        "old": bar.old,
        "value": result.value,
        "holds": bar.holds(result.value),
        "medians": result.medians,
        "samples": {name: list(map(_rounded, found)) for name, found in result.samples.items()},
    }


def bar_row(name: str, entry: dict[str, Any]) -> str:
    """Return a bar's line of the table."""
    sign, unit = "<=" if entry["at_most"] else ">=", entry["unit"]
    medians = (f"{name}: {short(value)}" for name, value in entry["medians"].items())
    return row(
        name, entry["what"], f"{sign} {entry['limit']:g} {unit}", f"{entry['value']:.3g} {unit}",
        "yes" if entry["holds"] else "NO", entry["old"], ", ".join(medians),
    )  # fmt: skip


def bar_missing(bar: Bar, why: str) -> str:
    """Return the line of a bar that is not measured."""
    return row(bar.name, bar.what, "", f"not measured: {why}", "", "", "")


def peer_entry(standing: Standing) -> dict[str, Any]:
    """Return what is kept of a system."""
    samples = {"calls/s": standing.calls, "messages/s": standing.messages}
    return {
        "name": standing.name,
        "promise": standing.promise,
        "versions": standing.versions,
        "missing": standing.missing,
        "failed": standing.failed,
        "figures": standing.figures,
        "samples": {name: list(map(_rounded, found)) for name, found in samples.items()},
    }


def peer_rows(peers: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the table of the systems, and below it what they are and what is left out."""
    measured = [peer for peer in peers if peer["figures"]]
    yield table(_PEERS)
    for peer in measured:
        first = measured[0]["figures"]
        cells = [
            short(value) + ("" if peer is measured[0] else f" ({_ratio(first[name] / value)})")
            for name, value in peer["figures"].items()
        ]
        yield row(peer["name"], *cells)
    yield ""
    for peer in peers:
        if peer["missing"]:
            lines = peer["missing"].splitlines()
            why = f"failed: {lines[0]} {lines[-1]}" if peer["failed"] else f"no {lines[0]}"
            yield f"- {peer['name']}: not measured, {why.replace('`', '')}"
        else:
            versions = (f"{name} {version}" for name, version in peer["versions"].items())
            yield f"- {peer['name']}: {peer['promise']} ({', '.join(versions)})"


def short(value: float) -> str:
    """Return a figure as people read it."""
    return f"{value:,.0f}" if value >= 1000 or value == int(value) else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{short(float(f'{value:.2g}'))}x"


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def markdown(document: dict[str, Any]) -> str:
    """Return a document as a page.

    Args:
        document: ``machine`` (name -> text), ``rows`` (bar -> entry), ``missing`` (lines of the
            table of bars) and ``peers`` (entries).
    """
    lines = ["# Results of `make bench`", ""]
    lines += [f"- {name}: {value}" for name, value in document["machine"].items()]
    lines += ["", "![All figures](plot.svg)", ""]
    if document["peers"]:
        lines += ["## Peers", "", _ABOUT_PEERS, "", *peer_rows(document["peers"]), ""]
    if document["rows"] or document["missing"]:
        lines += ["## Bars", "", _ABOUT_BARS, "", table(HEADER)]
        lines += [bar_row(name, entry) for name, entry in document["rows"].items()]
        lines += [*document["missing"], ""]
    return "\n".join(lines)


def text(document: dict[str, Any]) -> str:
    """Return a document as JSON, each bar and each system on a line of its own."""
    parts = {name: json.dumps(value) for name, value in document.items()}
    rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in document["rows"].items()]
    peers = [f"  {json.dumps(peer)}" for peer in document["peers"]]
    parts["rows"] = "{\n" + ",\n".join(rows) + "\n }"
    parts["peers"] = "[\n" + ",\n".join(peers) + "\n ]"
    return "{\n" + ",\n".join(f' "{name}": {value}' for name, value in parts.items()) + "\n}\n"


def record(document: dict[str, Any], folder: Path) -> None:
    """Write ``results.json``, ``results.md`` and ``plot.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(text(document), encoding="utf-8")
    (folder / "results.md").write_text(markdown(document), encoding="utf-8")
    (folder / "plot.svg").write_text(svg(document), encoding="utf-8")
