"""Drawings of one value a row, such as a bar or an interval, with the names above them: narrow on purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.plots import CHARACTER, WIDTH, box, line, shortened, svg, text

_LEFT, _RIGHT, _ROW = 24, 24, 40
#: Where names begin, and what is told of them ends.
_EDGE = 6


@dataclass(frozen=True)
class ChartRow:
    """What is drawn in one row."""

    name: str
    told: str  # its value in words
    kind: str  # class of its colour and mark
    bar: tuple[float, float] | None = None  # a bar from one value to another
    interval: tuple[float, float] | None = None  # a line
    at: float | None = None  # a mark: round, square for FAIL, hollow for INCONCLUSIVE
    joined: float | None = None  # a line down from here to the next row


def row_chart(
    title: str,
    rows: Sequence[ChartRow],
    axis: LinearAxis,
    *,
    across: str,
    lines: Sequence[tuple[float, str, str]] = (),
    label: Callable[[float], str] | None = None,
) -> str:
    """Draw rows below each other on one axis.

    Args:
        title: What a screen reader says of the drawing.
        rows: What is drawn, from top to bottom.
        axis: Holds all values.
        across: What the axis is of.
        lines: Values with a line from top to bottom, what they are, and the class of the line.
        label: Writes the numbers of the axis.
    """

    def x(value: float) -> float:
        return _LEFT + axis.part(value) * (WIDTH - _LEFT - _RIGHT)

    top = 26 if lines else 4
    bottom = top + _ROW * len(rows)
    parts = []
    for tick in axis.ticks():
        parts += [
            line((x(tick), top), (x(tick), bottom), "grid"),
            text(x(tick), bottom + 17, (label or axis.label)(tick), "middle"),
        ]
    for value, name, kind in lines:
        place = min(max(x(value), len(name) * CHARACTER / 2), WIDTH - len(name) * CHARACTER / 2)
        parts += [line((x(value), 18), (x(value), bottom), kind), text(place, 13, name, "middle")]
    for number, row in enumerate(rows):
        parts += _row(row, top + _ROW * number, x)
    parts.append(text(_LEFT + (WIDTH - _LEFT - _RIGHT) / 2, bottom + 36, across, "middle"))
    return svg(title, parts, height=bottom + 44)


def _row(row: ChartRow, top: float, x: Callable[[float], float]) -> list[str]:
    room = int((WIDTH - 2 * _EDGE) / CHARACTER) - len(row.told) - 2
    middle = top + 28
    parts = [
        text(_EDGE, top + 16, shortened(row.name, max(room, 8)), kind="name"),
        text(WIDTH - _EDGE, top + 16, row.told, "end", kind="name"),
    ]
    if row.bar is not None:
        low, high = sorted(map(x, row.bar))
        parts.append(box(low, middle - 6, max(high - low, 1.5), 12, f"dot {row.kind}"))
    if row.joined is not None:
        parts.append(line((x(row.joined), middle + 6), (x(row.joined), middle + _ROW - 6), "axis"))
    if row.interval is not None:
        low, high = map(x, row.interval)
        kind = "whisker" if row.bar is not None else f"range {row.kind}"
        parts += [line((low, middle), (high, middle), kind)]
        parts += [line((end, middle - 4), (end, middle + 4), kind) for end in (low, high)]
    if row.at is not None:
        if row.kind == "FAIL":
            parts.append(box(x(row.at) - 5, middle - 5, 10, 10, "dot FAIL"))
        else:
            parts.append(f'<circle class="dot {row.kind}" cx="{x(row.at):.1f}" cy="{middle:.1f}" r="5"/>')
    return parts
