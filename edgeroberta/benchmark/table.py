"""The tables of a comparison: what was measured, and how good those numbers are."""

from __future__ import annotations

from dataclasses import replace

from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.notes import comparison_notes
from edgeroberta.benchmark.row import BenchmarkRow
from edgeroberta.figures import ABSENT, decimals, megabytes, points
from edgeroberta.measure.clock import Latency
from edgeroberta.report.table import Column, Table

_WORDS = (Column("model", right=False), Column("engine", right=False))
#: Columns of the second table, which says how good the numbers of the first are.
_QUALITY = (
    *_WORDS,
    Column("p50 95 %"),
    Column("p90 95 %"),
    Column("p99 95 %"),
    Column("tokenize", "ms"),
    Column("rest", "ms"),
    Column("device", "ms"),
    Column("best batch"),
    Column("warm-up"),
    Column("spread", "%"),
    Column("cold start", "s"),
)


def text(comparison: Comparison) -> str:
    """Lay the tables out for a terminal, with what they were measured on below them."""
    return "\n\n".join(table.text() for table in _tables(comparison)) + "\n"


def markdown(comparison: Comparison) -> str:
    """Write the tables as GitHub Markdown, with what they were measured on below them."""
    return "\n\n".join(["# Benchmark", *(table.markdown() for table in _tables(comparison))]) + "\n"


def _tables(comparison: Comparison) -> list[Table]:
    timed = tuple(quality(row, row.latency) for row in comparison.rows if row.latency is not None)
    tables = [measured(comparison), *([Table(_QUALITY, timed)] if timed else [])]
    return [*tables[:-1], replace(tables[-1], footnotes=tuple(comparison_notes(comparison)))]


def measured(comparison: Comparison) -> Table:
    """Return a row's size, answers, times, memory and energy, one line per row."""
    columns = (
        *_WORDS,
        Column("status", right=False),
        Column("p50", "ms"),
        Column("p90", "ms"),
        Column("p99", "ms"),
        Column("engine", "ms"),
        Column("texts/s"),
        Column(comparison.metric),
        Column("agreement", "%"),
        Column("size", "MB"),
        Column("peak", "MB"),
        Column("mJ/text"),
        Column("speed-up"),
        Column("int8 over floats"),
    )
    return Table(columns, tuple(map(cells, comparison.rows)))


def cells(row: BenchmarkRow) -> tuple[str, ...]:
    """Return a row as texts, one per column of :func:`measured`."""
    latency = row.latency
    parts = latency.breakdown if latency else None
    return (
        row.name,
        row.engine,
        f"{row.status}, noisy" if row.noisy else str(row.status),
        decimals(latency.p50_ms if latency else None),
        decimals(latency.p90_ms if latency else None),
        decimals(latency.p99_ms if latency else None),
        decimals(parts.engine_ms if parts else None),
        ABSENT if row.offline is None else f"{row.offline.texts_per_second:,.0f}",
        points(row.metric),
        points(row.agreement),
        megabytes(row.bytes),
        megabytes(row.peak_bytes),
        decimals(row.energy_mj, 1),
        ABSENT if row.speed_up is None else f"{row.speed_up:.2f}×",
        ABSENT if row.gain is None else row.gain.cell,
    )


def quality(row: BenchmarkRow, latency: Latency) -> tuple[str, ...]:
    """Return what there is to know about a timed row's numbers, one text per column of the second table."""
    parts = latency.breakdown
    ends = (latency.p50_interval_ms, latency.p90_interval_ms, latency.p99_interval_ms)
    return (
        row.name,
        row.engine,
        *(ABSENT if end is None else f"{end[0]:.2f}–{end[1]:.2f}" for end in ends),
        decimals(parts.tokenize_ms if parts else None),
        decimals(parts.rest_ms if parts else None),
        decimals(parts.device_ms if parts else None),
        ABSENT if row.offline is None else str(row.offline.batch),
        f"{latency.warmup}{'' if latency.steady else ', not steady'}",
        ABSENT if latency.spread is None else f"{100 * latency.spread:.1f}",
        decimals(row.cold_start_s),
    )
