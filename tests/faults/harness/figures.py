"""The figures of a run, what they have to be, and how they are shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

Value = float | int | str


@dataclass(frozen=True)
class Line:
    """One figure. With a bound it passes or fails: at most, or at least if `floor`."""

    name: str
    value: Value
    bound: float | None = None
    floor: bool = False

    @property
    def ok(self) -> bool:
        if self.bound is None:
            return True
        assert not isinstance(self.value, str)
        return self.value >= self.bound if self.floor else self.value <= self.bound

    @property
    def wanted(self) -> str:
        return "" if self.bound is None else f"{'≥' if self.floor else '≤'} {self.bound:g}"

    @property
    def mark(self) -> str:
        return "" if self.bound is None else "ok" if self.ok else "FAILED"


def percentile(values: list[float], share: float) -> float:
    """Return the value that `share` of all are not above; 0 when there are none."""
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 3) if ordered else 0.0


def distribution(name: str, values: list[float], p99: float | None = None, most: float | None = None) -> list[Line]:
    return [
        Line(f"{name} p50 [s]", percentile(values, 0.5)),
        Line(f"{name} p99 [s]", percentile(values, 0.99), p99),
        Line(f"{name} max [s]", percentile(values, 1.0), most),
    ]


def table(title: str, lines: list[Line]) -> str:
    """Return the figures as a table in Markdown, as docs/reliability.md shows them."""
    rows = [("what", "figure", "bound", ""), *((line.name, str(line.value), line.wanted, line.mark) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    text = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join([title, "", *text])


def save(path: Path, title: str, lines: list[Line]) -> None:
    content = {
        "title": title,
        "figures": [
            {"name": line.name, "value": line.value, "bound": line.wanted or None, "ok": line.ok} for line in lines
        ],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
