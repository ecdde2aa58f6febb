"""The metrics of a model after every stage: the same cells in reports, on model cards and on terminals."""

from __future__ import annotations

from edgeroberta.evaluation.per_stage import PerStageMetrics, StageRow
from edgeroberta.figures import ABSENT, decimals, megabytes, points, score
from edgeroberta.report.table import Table

_TITLES = ("agreement", "flips", "calibration", "parameters", "size MB", "p50 ms", "speed")


def table(per_stage: PerStageMetrics) -> Table:
    """Lay out one row per model; what each column is, the guide to per-stage metrics says."""
    titles = ("after", per_stage.metric, "lost", *_TITLES)
    return Table.of(titles, (_cells(per_stage.metric, row) for row in per_stage.rows))


def notes(per_stage: PerStageMetrics) -> tuple[str, ...]:
    """Say what the models were measured on, and why some were not."""
    if per_stage.missing is not None:
        return (f"Not measured: {per_stage.missing}.",)
    some = f"{per_stage.measured:,} held-out rows"
    if per_stage.measured < per_stage.available:
        some = f"{per_stage.measured:,} of {per_stage.available:,} held-out rows, drawn at random"
    said = (
        f"Each model as an ONNX graph in ONNX Runtime, on {some}; p50 of {per_stage.calls} single texts on "
        "one thread, interleaved with the baseline. "
        f"One row is {100 / per_stage.measured:.2f} points."
    )
    if any(row.noisy for row in per_stage.rows):
        said += " ~: the repetitions differed by more than 10 %."
    return (
        said,
        *(f"{row.name}: not measured: {row.error}." for row in per_stage.rows if row.error is not None),
    )


def _cells(metric: str, row: StageRow) -> tuple[str, ...]:
    return (
        row.name,
        score(metric, row.metric),
        _lost(metric, row.drop),
        points(row.agreement),
        ABSENT if row.flips is None else f"{row.flips:,}",
        points(row.calibration_error),
        _millions(row.parameters),
        megabytes(row.bytes),
        decimals(row.p50_ms),
        ABSENT if row.speed_up is None else f"{'~' if row.noisy else ''}{row.speed_up:.1f}x",
    )


def _lost(metric: str, drop: float | None) -> str:
    if drop is None:
        return ABSENT
    text = f"{drop:+.3f}" if metric == "pearson" else f"{100 * drop:+.1f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _millions(count: int | None) -> str:
    if count is None:
        return ABSENT
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"
