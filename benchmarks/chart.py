"""The chart of a run as SVG: events per second by workload and connections, in the reader's light or dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.measured import Measured

WIDTH, HEIGHT = 960, 420
_TOP, _BOTTOM, _LEFT, _RIGHT = 84, 60, 64, 16
_SYSTEMS = {"pgbench": "pgbench, one event per commit", "lane": "ilert, the lane", "drf": "ilert, the DRF door"}
_WORKLOADS = {"unique": "every event its own key", "keys1000": "1000 keys", "one": "one hot key"}
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#334155}.title{font-size:17px;font-weight:600;fill:#0f172a}
.small{font-size:11px;fill:#64748b}
.grid{stroke:#e2e8f0}.pgbench{fill:#94a3b8}.lane{fill:#4f46e5}.drf{fill:#f59e0b}.back{fill:#fff}
@media(prefers-color-scheme:dark){text{fill:#cbd5e1}.title{fill:#f8fafc}.small{fill:#94a3b8}
.grid{stroke:#334155}.back{fill:#0f172a}
.pgbench{fill:#64748b}.lane{fill:#818cf8}.drf{fill:#fbbf24}}
"""


def draw(rows: Sequence[Measured]) -> str:
    """Bars: one panel for each workload, one group for each number of connections, one bar for each system."""
    shown = [row for row in rows if row.system in _SYSTEMS]
    top = _round_up(max(row.rate for row in shown))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Events per second by workload and number of connections">',
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
        f'<text class="title" x="{_LEFT}" y="32">Events per second, by number of connections</text>',
        *_legend(),
        *_grid(top),
    ]
    workloads = [name for name in _WORKLOADS if any(row.workload == name for row in shown)]
    width = (WIDTH - _LEFT - _RIGHT) / len(workloads)
    for place, workload in enumerate(workloads):
        panel = [row for row in shown if row.workload == workload]
        parts += _panel(panel, _LEFT + place * width, width, top)
        parts.append(
            f'<text x="{_LEFT + (place + 0.5) * width:.0f}" y="{HEIGHT - 14}" text-anchor="middle">'
            f"{escape(_WORKLOADS[workload])}</text>"
        )
    return "\n".join([*parts, "</svg>", ""])


def _panel(rows: Sequence[Measured], left: float, width: float, top: float) -> Iterator[str]:
    connections = sorted({row.connections for row in rows})
    group = (width - 24) / len(connections)
    bar = min(28.0, (group - 10) / len(_SYSTEMS))
    for place, number in enumerate(connections):
        middle = left + 12 + (place + 0.5) * group
        yield f'<text class="small" x="{middle:.0f}" y="{HEIGHT - 36}" text-anchor="middle">{number}</text>'
        for row in rows:
            if row.connections == number:
                x = middle + (list(_SYSTEMS).index(row.system) - len(_SYSTEMS) / 2) * bar
                y = _height(row.rate, top)
                yield (
                    f'<rect class="{row.system}" x="{x:.1f}" y="{y:.1f}" width="{bar - 1.5:.1f}" '
                    f'height="{HEIGHT - _BOTTOM - y:.1f}" rx="2"><title>{escape(_SYSTEMS[row.system])}, '
                    f"{number} connections: {row.rate:,.0f}/s, p99 {row.latency.p99:.1f} ms</title></rect>"
                )


def _legend() -> Iterator[str]:
    x = _LEFT
    for name, words in _SYSTEMS.items():
        yield f'<rect class="{name}" x="{x}" y="48" width="12" height="12" rx="2"/>'
        yield f'<text x="{x + 18}" y="59">{escape(words)}</text>'
        x += 48 + 7 * len(words)


def _grid(top: float) -> Iterator[str]:
    for step in range(5):
        value = top * step / 4
        y = _height(value, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="small" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'


def _height(rate: float, top: float) -> float:
    return HEIGHT - _BOTTOM - rate / top * (HEIGHT - _BOTTOM - _TOP)


def _round_up(value: float) -> float:
    """The next number whose quarters are easy to read."""
    step = 4.0 * float(10 ** max(0, len(str(int(value))) - 2))
    return -(-value // step) * step
