"""Where the drops of engines lie with their intervals, and the gate; ``report.html.j2`` draws it."""

from __future__ import annotations

from typing import Any

from edgeroberta.evaluation.result import Report
from edgeroberta.figures import signed_points

_WIDTH, _LABELS, _ROW = 640, 130, 28


def of(report: Report) -> dict[str, Any]:
    """Return the places of all marks, in pixels; there are no bars where no engine has a drop."""
    drops = {result.engine: result.drop for result in report.engines if result.drop is not None}
    limit = report.gate.allowed(report.baseline["metrics"][report.metric])
    ends = [0.0, limit, *(end for drop in drops.values() for end in (drop.low, drop.high))]
    margin = 0.08 * (max(ends) - min(ends)) or 0.01
    low, high = min(ends) - margin, max(ends) + margin

    def x(value: float) -> str:
        return f"{_LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - 10):.1f}"

    return {
        "title": f"Drop of {report.metric} in points, with its interval",
        "width": _WIDTH,
        "height": _ROW * (len(drops) + 1) + 10,
        "lines": [
            {"x": x(0.0), "name": "0", "colour": "#8c959f"},
            {"x": x(limit), "name": f"gate {signed_points(limit)}", "colour": "#c62828"},
        ],
        "bars": [
            {
                "name": engine,
                "y": _ROW * number + 8,
                "low": x(drop.low),
                "mean": x(drop.mean),
                "high": x(drop.high),
            }
            for number, (engine, drop) in enumerate(drops.items(), start=1)
        ],
    }
