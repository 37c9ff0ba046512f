"""The record as a picture: a small SVG, for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

_STYLE = """
text { font: 12px sans-serif; fill: #222 } .title { font-weight: bold } .small { font-size: 10px }
.end { text-anchor: end } .middle { text-anchor: middle } .card { fill: #f9f9f7; stroke: #999 }
line { stroke: #ccc } .limit { stroke: #222; stroke-width: 1.5 }
.ours { fill: #1a63b8; stroke: #1a63b8 } .other { fill: #b05c00; stroke: #b05c00 }
.hollow { fill: none; stroke-width: 1.5 } .over { fill: #c02020 }
@media (prefers-color-scheme: dark) {
  text { fill: #e4e4e4 } .card { fill: #1d1f22; stroke: #666 } line { stroke: #44474c }
  .limit { stroke: #e4e4e4 } .ours { fill: #6fb0ff; stroke: #6fb0ff }
  .other { fill: #f2a65a; stroke: #f2a65a } .hollow { fill: none } .over { fill: #ff6b6b }
}"""
_WIDTH, _LABELS, _PANEL, _GAP, _LINE, _TOP = 880, 230, 170, 50, 18, 56
#: The bars are drawn up to this share of their limits.
_LONGEST_SHARE = 1.5


@dataclass
class _Drawing:
    height: float = 0.0
    elements: list[str] = field(default_factory=list)

    def add(self, element: str, text: str = "", **attributes: Any) -> None:
        given = "".join(
            f' {name.rstrip("_")}="{value:.1f}"' if isinstance(value, float) else
            f' {name.rstrip("_")}="{escape(str(value))}"'
            for name, value in attributes.items()
        )  # fmt: skip
        self.elements.append(f"<{element}{given}>{escape(text)}</{element}>")

    def text(self, x: float, y: float, text: str, class_: str = "") -> None:
        self.add("text", text, x=float(x), y=float(y), class_=class_)

    def line(self, x1: float, y1: float, x2: float, y2: float, class_: str = "") -> None:
        self.add("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_)

    def svg(self) -> str:
        return "\n".join((
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {self.height:.0f}"'
            f' width="{_WIDTH}" height="{self.height:.0f}" role="img">',
            "<title>The benchmarks' figures</title>",
            f"<style>{_STYLE}\n</style>",
            f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}"'
            f' height="{self.height - 1:.0f}" rx="8"/>',
            *self.elements, "</svg>", "",
        ))  # fmt: skip


class Scale:
    """Positions of values between whole powers of ten.

    Args:
        values: positive numbers, at least one.
        left: position of the lowest power.
        width: between the lowest and the highest.
    """

    def __init__(self, values: Sequence[float], left: float, width: float) -> None:
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self._left, self._width = left, width

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._left + share * self._width


def svg(document: dict[str, Any]) -> str:
    """Return the picture of a record, see :func:`benchmarks.report.document`."""
    drawing = _Drawing()
    if measured := [peer for peer in document["peers"] if peer["figures"]]:
        _peers(drawing, measured)
    if rows := {name: row for name, row in document["rows"].items() if row["limit"]}:
        _bars(drawing, rows)
    drawing.height += 12
    return drawing.svg()


def _peers(drawing: _Drawing, peers: Sequence[dict[str, Any]]) -> None:
    drawing.text(12, 24, "One publisher, one subscriber, 1 KB", "title")
    panels = {
        "publish, calls/s": ("calls/s",),
        "end to end, messages/s": ("messages/s",),
        "latency, ms: median, ○ p99": ("median, ms", "p99, ms"),
    }
    bottom = _TOP + _LINE * len(peers)
    for index, peer in enumerate(peers):
        drawing.text(_LABELS - 10, _TOP + _LINE * (index + 0.7), peer["name"], "end")
    for number, (title, metrics) in enumerate(panels.items()):
        left = _LABELS + number * (_PANEL + _GAP)
        scale = Scale([peer["figures"][name] for peer in peers for name in metrics], left, _PANEL)
        drawing.text(left + _PANEL / 2, _TOP - 12, title, "middle")
        for power in range(scale.low, scale.high + 1):
            x = scale(10.0**power)
            drawing.line(x, _TOP, x, bottom)
            drawing.text(x, bottom + 14, f"{10.0**power:,g}", "small middle")
        for index, peer in enumerate(peers):
            kind = _kind(peer["name"])
            y = _TOP + _LINE * (index + 0.5)
            places = [scale(peer["figures"][name]) for name in metrics]
            drawing.line(places[0], y, places[-1], y, kind)
            for place, extra in zip(places, ("", " hollow"), strict=False):
                drawing.add("circle", cx=place, cy=y, r=4, class_=kind + extra)
    drawing.height = bottom + 24


def _kind(name: str) -> str:
    return "ours" if name.startswith("fedmsg") and "1.1.7" not in name else "other"


def share_of_limit(row: dict[str, Any]) -> float:
    """Return how much of what its bar allows a figure takes; up to 1 the bar holds."""
    value, limit = row["value"], row["limit"]
    share = value / limit if row["at_most"] else limit / value if value else math.inf
    return float(share)


def _bars(drawing: _Drawing, rows: dict[str, dict[str, Any]]) -> None:
    start = drawing.height + 24
    drawing.text(12, start, "The bars: what each figure takes of its limit", "title")
    top, width = start + 28, _WIDTH - _LABELS - 100
    bottom = top + _LINE * len(rows)
    for percent in range(0, int(_LONGEST_SHARE * 100) + 1, 50):
        x = _LABELS + width * percent / 100 / _LONGEST_SHARE
        drawing.line(x, top, x, bottom, "limit" if percent == 100 else "")
        drawing.text(x, top - 6, f"{percent} %", "small middle")
    for index, (name, row) in enumerate(rows.items()):
        y = top + _LINE * index
        share = share_of_limit(row)
        drawing.text(_LABELS - 10, y + 13, name, "end")
        long = width * min(max(share, 0.0), _LONGEST_SHARE) / _LONGEST_SHARE
        drawing.add("rect", x=float(_LABELS), y=y + 4.0, width=float(long), height=_LINE - 8,
                    class_="ours" if row["holds"] else "over")  # fmt: skip
        drawing.text(_WIDTH - 16, y + 13, f"{row['value']:.3g} {row['unit']}", "small end")
    drawing.height = bottom
