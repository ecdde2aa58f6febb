"""The tables of a comparison: what was measured, and how good those numbers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.notes import comparison_notes
from edgeroberta.benchmark.row import BenchmarkRow
from edgeroberta.figures import ABSENT, decimals, megabytes, points, score
from edgeroberta.report.table import Cells, Column, Table


def text(comparison: Comparison) -> str:
    """Lay the tables out for a terminal, with what they were measured on below them."""
    return "\n\n".join(table.text() for table in tables(comparison)) + "\n"


def markdown(comparison: Comparison) -> str:
    """Write the tables as GitHub Markdown, with what they were measured on below them."""
    return "\n\n".join(["# Benchmark", *(table.markdown() for table in tables(comparison))]) + "\n"


def tables(comparison: Comparison) -> list[Table]:
    """Lay out what was measured, and how sure its times are, with the notes below."""
    timed = [row for row in comparison.rows if row.latency]
    found = [measured(comparison), *_tiers(comparison), *([Table.by(_QUALITY, timed)] if timed else [])]
    return [*found[:-1], replace(found[-1], footnotes=tuple(comparison_notes(comparison)))]


def measured(comparison: Comparison) -> Table:
    """Lay out each row's answers, times, size, memory and energy."""
    columns: list[tuple[Column, Callable[[BenchmarkRow], str]]] = [
        *_NAMES,
        (Column("status", right=False), lambda row: f"{row.status}, noisy" if row.noisy else str(row.status)),
        (Column("mean", "ms"), _time("mean_ms")),
        (Column("p50", "ms"), _time("p50_ms")),
        (Column("p90", "ms"), _time("p90_ms")),
        (Column("p99", "ms"), _time("p99_ms")),
        (Column("engine", "ms"), _part("engine_ms")),
        (Column("texts/s"), lambda row: f"{row.offline.texts_per_second:,.0f}" if row.offline else ABSENT),
        (Column(comparison.metric), lambda row: score(comparison.metric, row.metric)),
        (Column("agreement", "%"), lambda row: points(row.agreement)),
        (Column("size", "MB"), lambda row: megabytes(row.bytes)),
        (Column("peak", "MB"), lambda row: megabytes(row.peak_bytes)),
        (Column("mJ/text"), lambda row: decimals(row.energy_mj, 1)),
        (Column("speed-up"), _times("speed_up")),
        (Column("mean speed-up"), _times("mean_speed_up")),
        (Column("int8 over float"), lambda row: row.gain.cell if row.gain else ABSENT),
    ]
    if any(row.cascade for row in comparison.rows):
        columns += [
            (Column("escalated", "%"), lambda row: points(row.cascade.escalated if row.cascade else None)),
            (Column("all tiers p99", "ms"), _worst("p99_ms")),
        ]
    return Table.by(columns, comparison.rows)


def _tiers(comparison: Comparison) -> Iterator[Table]:
    """Lay out what the tiers of each cascade did, with a line for texts that pass all of them."""
    columns = (*(column for column, _ in _NAMES), Column("tier", right=False), Column("texts", "%"),
               Column("calls"), Column("mean", "ms"), Column("p50", "ms"), Column("p99", "ms"))  # fmt: skip
    lines: list[tuple[str, ...]] = []
    for row in comparison.rows:
        if (cascade := row.cascade) is None:
            continue
        for tier in cascade.tiers:
            shown = (tier.name, points(tier.share), f"{tier.calls:,}", ABSENT, decimals(tier.p50_ms), ABSENT)
            lines.append((row.name, row.engine, *shown))
        if (worst := cascade.worst) is not None:
            times = (decimals(worst.mean_ms), decimals(worst.p50_ms), decimals(worst.p99_ms))
            lines.append((row.name, row.engine, "all in turn", ABSENT, f"{worst.calls:,}", *times))
    if lines:
        yield Table(columns, tuple(lines))


def _worst(name: str) -> Callable[[BenchmarkRow], str]:
    return lambda row: decimals(getattr(row.cascade and row.cascade.worst, name, None))


def _time(name: str) -> Callable[[BenchmarkRow], str]:
    return lambda row: decimals(getattr(row.latency, name, None))


def _times(name: str) -> Callable[[BenchmarkRow], str]:
    def cell(row: BenchmarkRow) -> str:
        factor = getattr(row, name)
        return ABSENT if factor is None else f"{factor:.2f}×"

    return cell


def _part(name: str) -> Callable[[BenchmarkRow], str]:
    return lambda row: decimals(getattr(getattr(row.latency, "breakdown", None), name, None))


def _interval(name: str) -> Callable[[BenchmarkRow], str]:
    def cell(row: BenchmarkRow) -> str:
        ends = getattr(row.latency, name)
        return ABSENT if ends is None else f"{ends[0]:.2f}–{ends[1]:.2f}"

    return cell


def _warmup(row: BenchmarkRow) -> str:
    return f"{row.latency.warmup}{'' if row.latency.steady else ', not steady'}" if row.latency else ABSENT


def _spread(row: BenchmarkRow) -> str:
    return points(row.latency.spread if row.latency else None)


_NAMES: Cells[BenchmarkRow] = [
    (Column("model", right=False), lambda row: row.name),
    (Column("engine", right=False), lambda row: row.engine),
]
#: The second table, which says how good the numbers of the first are.
_QUALITY: Cells[BenchmarkRow] = [
    *_NAMES,
    (Column("mean 95 %"), _interval("mean_interval_ms")),
    (Column("p50 95 %"), _interval("p50_interval_ms")),
    (Column("p90 95 %"), _interval("p90_interval_ms")),
    (Column("p99 95 %"), _interval("p99_interval_ms")),
    (Column("tokenize", "ms"), _part("tokenize_ms")),
    (Column("rest", "ms"), _part("rest_ms")),
    (Column("device", "ms"), _part("device_ms")),
    (Column("best batch"), lambda row: str(row.offline.batch) if row.offline else ABSENT),
    (Column("warm-up"), _warmup),
    (Column("spread", "%"), _spread),
    (Column("cold start", "s"), lambda row: decimals(row.cold_start_s)),
]
