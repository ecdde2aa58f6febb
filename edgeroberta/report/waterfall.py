"""What each stage lost, as a waterfall from the baseline's metric to the bundle's."""

from __future__ import annotations

from collections.abc import Iterator

from edgeroberta.evaluation.per_stage import PerStageMetrics
from edgeroberta.figures import CORRELATIONS, score
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.row_chart import ChartRow, row_chart


def figures(per_stage: PerStageMetrics) -> Iterator[Figure]:
    """Draw the metric after each stage; nothing where fewer than two models were measured."""
    measured = [row for row in per_stage.rows if row.metric is not None]
    if len(measured) < 2:
        return
    metric, scale = per_stage.metric, 1.0 if per_stage.metric in CORRELATIONS else 100.0
    rows, ends = [], []
    for row in measured:
        after = scale * (row.metric or 0.0)
        before = after if row.drop is None else after + scale * row.drop
        ends += [before, after]
        change = after - before
        told, kind = score(metric, row.metric), "grey"
        if row.drop is not None and round(abs(change), 3 if scale == 1 else 1):
            told += f" ({change:+.{3 if scale == 1 else 1}f})"
            kind = "bad" if change < 0 else "good"
        rows.append((row.name, told, kind, before, after, row.drop is None))
    axis = LinearAxis.over(ends, least=0.02 * scale, below=0.5)
    last = len(rows) - 1
    drawn = [
        ChartRow(
            name,
            told,
            kind,
            bar=(axis.low, after) if whole else (before, after),
            joined=after if number < last and not rows[number + 1][5] else None,
        )
        for number, (name, told, kind, before, after, whole) in enumerate(rows)
    ]
    unit = "" if scale == 1 else ", %"
    won = ", or won (striped)" if any(kind == "good" for _, _, kind, *_ in rows) else ""
    yield Figure(
        f"From the baseline's {metric} to the bundle's: each bar is what a stage lost{won}.",
        (
            row_chart(
                f"What each stage lost of {metric}", drawn, axis, across=f"{metric} after the stage{unit}"
            ),
        ),
    )
