"""Where the drops of engines lie with their intervals, and the gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgeroberta.figures import CORRELATIONS, interval, signed_points
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.row_chart import ChartRow, row_chart


def figures(report: Mapping[str, Any], limit: float) -> Iterator[Figure]:
    """Draw the drop on each engine; nothing where none has one. ``limit``: what the gate allows."""
    found = [each for each in report["engines"] if each["drop"] is not None]
    if not found:
        return
    ends = [0.0, limit, *(each["drop"][end] for each in found for end in ("low", "high"))]
    rows = [drop_row(each["engine"], each["drop"], each["judgement"]["verdict"]) for each in found]
    metric = report["metric"]
    yield Figure(
        f"What {metric} lost on each engine, with its interval: left of the gate's line it is allowed, and "
        "the whole interval must be.",
        (
            row_chart(
                f"Drop of {metric} on each engine, with its interval, beside what the gate allows",
                rows,
                LinearAxis.over([100 * end for end in ends]),
                across=f"drop of {metric}, {'hundredths' if metric in CORRELATIONS else 'points'}",
                lines=gate_lines(limit),
            ),
        ),
    )


def drop_row(name: str, drop: Mapping[str, float], verdict: str | None) -> ChartRow:
    """Make the row of a drop with its interval."""
    told = interval(drop["mean"], drop["low"], drop["high"])
    ends = 100 * drop["low"], 100 * drop["high"]
    return ChartRow(name, told, str(verdict or "s0"), interval=ends, at=100 * drop["mean"])


def gate_lines(limit: float | None) -> list[tuple[float, str, str]]:
    """Return the lines of no drop, and of the largest that is allowed."""
    return [
        (0.0, "", "axis"),
        *([] if limit is None else [(100 * limit, f"gate {signed_points(limit)}", "limit")]),
    ]
