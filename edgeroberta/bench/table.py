"""The table of a comparison for people: aligned text, and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgeroberta.bench.comparison import Comparison
from edgeroberta.bench.notes import facts
from edgeroberta.bench.row import Row
from edgeroberta.escaping import markdown as escape
from edgeroberta.evaluate.report_text import ABSENT, megabytes, points
from edgeroberta.layout import columns

_LEFT = 3  # model, engine and status are words; the rest is set flush right
Cells = tuple[str, ...]


def header(comparison: Comparison) -> Cells:
    """Return the column titles."""
    return (
        "model",
        "engine",
        "status",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "engine ms",
        "texts/s",
        comparison.metric,
        "same answer %",
        "size MB",
        "peak MB",
        "mJ/text",
        "speed-up",
        "int8 over floats",
    )


def cells(row: Row) -> Cells:
    """Return a row as texts, one per column."""
    latency = row.latency
    times = (latency.p50_ms, latency.p90_ms, latency.p99_ms) if latency else (None, None, None)
    engine = latency.breakdown.engine_ms if latency and latency.breakdown else None
    return (
        row.name,
        row.engine,
        f"{row.status}, noisy" if row.noisy else str(row.status),
        *(_number(value) for value in times),
        _number(engine),
        ABSENT if row.offline is None else f"{row.offline.texts_per_second:,.0f}",
        ABSENT if row.metric is None else points(row.metric),
        ABSENT if row.agreement is None else points(row.agreement),
        megabytes(row.bytes),
        megabytes(row.peak_bytes),
        _number(row.energy_mj, 1),
        ABSENT if row.speed_up is None else f"{row.speed_up:.2f}×",
        ABSENT if row.gain is None else row.gain.cell,
    )


#: Columns of the second table, which says how good the numbers of the first are.
DETAILS = (
    "model",
    "engine",
    "p50 95 %",
    "p90 95 %",
    "p99 95 %",
    "tokenize ms",
    "rest ms",
    "device ms",
    "best batch",
    "warm-up",
    "spread %",
    "cold start s",
)


def details(row: Row) -> Cells:
    """Return what there is to know about a row's numbers, one text per column of :data:`DETAILS`."""
    latency = row.latency
    parts = latency.breakdown if latency else None
    ends = (
        (latency.p50_interval_ms, latency.p90_interval_ms, latency.p99_interval_ms)
        if latency
        else (None, None, None)
    )
    spread = latency.spread if latency else None
    warm = ABSENT if latency is None else str(latency.warmup) + ("" if latency.steady else ", not steady")
    return (
        row.name,
        row.engine,
        *(ABSENT if end is None else f"{end[0]:.2f}–{end[1]:.2f}" for end in ends),
        _number(parts.tokenize_ms if parts else None),
        _number(parts.rest_ms if parts else None),
        _number(parts.device_ms if parts else None),
        ABSENT if row.offline is None else str(row.offline.batch),
        warm,
        ABSENT if spread is None else f"{100 * spread:.1f}",
        _number(row.cold_start_s),
    )


def text(comparison: Comparison) -> str:
    """Lay the tables out for a terminal, with what they were measured on below them."""
    lines = [header(comparison), *(cells(row) for row in comparison.rows)]
    more = [DETAILS, *(details(row) for row in comparison.rows if row.latency)]
    laid = columns(lines, left=range(_LEFT))
    if len(more) > 1:
        laid += ["", *columns(more, left=range(2))]
    return "\n".join([*laid, "", *facts(comparison)]) + "\n"


def markdown(comparison: Comparison) -> str:
    """Write the tables as GitHub Markdown, with what they were measured on below them."""
    lines = ["# Benchmark", "", *_table(header(comparison), comparison.rows, cells, _LEFT)]
    timed = [row for row in comparison.rows if row.latency]
    if timed:
        lines += ["", *_table(DETAILS, timed, details, 2)]
    return "\n".join([*lines, "", *(f"- {escape(fact)}" for fact in facts(comparison))]) + "\n"


def _table(titles: Cells, rows: Sequence[Row], cut: Callable[[Row], Cells], left: int) -> list[str]:
    rule = ["---" if column < left else "---:" for column in range(len(titles))]
    return [_line(titles), _line(rule), *(_line([escape(cell) for cell in cut(row)]) for row in rows)]


def _number(value: float | None, digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
