"""A ledger for people: the same cells in reports, on model cards and on terminals."""

from __future__ import annotations

from edgeroberta.evaluate.per_stage import Ledger, Row

ABSENT = "–"


def header(ledger: Ledger) -> tuple[str, ...]:
    """Return the column titles; what each column is, ``docs/reference/per-stage-metrics.md`` says."""
    return (
        "after",
        ledger.metric,
        "lost",
        "same answer",
        "flips",
        "calibration",
        "parameters",
        "size MB",
        "p50 ms",
        "speed",
    )


def cells(ledger: Ledger) -> tuple[tuple[str, ...], ...]:
    """Return one row of cells per model."""
    return tuple(_cells(ledger.metric, row) for row in ledger.rows)


def sentences(ledger: Ledger) -> tuple[str, ...]:
    """Say what the models were measured on, and why some were not."""
    if ledger.missing is not None:
        return (f"Not measured: {ledger.missing}.",)
    some = f"{ledger.measured:,} held-out rows"
    if ledger.measured < ledger.available:
        some = f"{ledger.measured:,} of {ledger.available:,} held-out rows, drawn at random"
    said = (
        f"Each model as an ONNX graph in ONNX Runtime, on {some}; p50 of {ledger.calls} single texts on one "
        "thread, in turns with the full-size model. "
        f"One row is {100 / ledger.measured:.2f} points."
    )
    if any(row.noisy for row in ledger.rows):
        said += " ~: the turns differed by more than 10 %."
    complaints = [f"{row.stage}: not measured: {row.error}." for row in ledger.rows if row.error is not None]
    return (said, *complaints)


def _cells(metric: str, row: Row) -> tuple[str, ...]:
    return (
        row.stage,
        _metric(metric, row.metric),
        _lost(metric, row),
        ABSENT if row.agreement is None else f"{100 * row.agreement:.1f}",
        ABSENT if row.flips is None else f"{row.flips:,}",
        ABSENT if row.calibration_error is None else f"{100 * row.calibration_error:.1f}",
        _millions(row.parameters),
        ABSENT if row.bytes is None else f"{row.bytes / 1e6:.1f}",
        ABSENT if row.p50_ms is None else f"{row.p50_ms:.2f}",
        ABSENT if row.speed_up is None else f"{'~' if row.noisy else ''}{row.speed_up:.1f}x",
    )


def _metric(metric: str, value: float | None) -> str:
    """Write a share in points; a correlation stays a number."""
    if value is None:
        return ABSENT
    return f"{value:.3f}" if metric == "pearson" else f"{100 * value:.1f}"


def _lost(metric: str, row: Row) -> str:
    if row.drop is None:
        return ABSENT
    text = f"{row.drop:+.3f}" if metric == "pearson" else f"{100 * row.drop:+.1f}"
    return text.lstrip("+-") if float(text) == 0 else text


def _millions(count: int | None) -> str:
    if count is None:
        return ABSENT
    return f"{count / 1e6:.1f} M" if count >= 1e6 else f"{count:,}"
