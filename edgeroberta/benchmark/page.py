"""A comparison as a page: what its rows take and are worth, drawn and in the tables that a terminal shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace

from edgeroberta.benchmark import table
from edgeroberta.benchmark.comparison import Comparison
from edgeroberta.benchmark.notes import comparison_notes
from edgeroberta.benchmark.row import BUNDLE, BenchmarkRow
from edgeroberta.figures import decimals, megabytes
from edgeroberta.measure.clock import Latency
from edgeroberta.measure.protocol import RowStatus
from edgeroberta.report import latency_plot, pages
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.pareto import ParetoPoint, pareto_figure
from edgeroberta.report.row_chart import ChartRow, row_chart
from edgeroberta.report.section import Section

#: Rows that stand for what they are said to be: what answers wrong is no point of the front.
_RIGHT = (RowStatus.OK, RowStatus.UNCHECKED)


def page(name: str, comparisons: Sequence[tuple[str | None, Comparison]]) -> str:
    """Write comparisons as one HTML file that needs nothing else.

    ``name``: of the bundle. ``comparisons``: with the host of each; None for this machine.
    """
    found = [part for host, each in comparisons for part in _sections(host, each)]
    return pages.page(
        [Section(f"Benchmark of {name}"), *found] if len(comparisons) != 1 else _one(name, found)
    )


def _one(name: str, found: Sequence[Section]) -> list[Section]:
    first, *others = found
    return [replace(first, title=f"Benchmark of {name}"), *others]


def _sections(host: str | None, comparison: Comparison) -> Iterator[Section]:
    measured, *others = table.tables(comparison)
    of = "" if host is None else f" on {host}"
    yield Section(
        f"What was measured{of}",
        table=replace(measured, footnotes=()),
        figures=tuple(_figures(comparison)),
    )
    for each in others:
        yield Section(f"In detail{of}", table=replace(each, footnotes=()))
    yield Section(f"How it was measured{of}", tuple(comparison_notes(comparison)))


def _figures(comparison: Comparison) -> Iterator[Figure]:
    rows = _named(comparison.rows)
    timed = [(name, row, row.latency) for name, row in rows if row.latency is not None]
    if timed:
        yield _latency(timed)
    yield from latency_plot.figures({name: asdict(latency) for name, _, latency in timed})
    points = [
        ParetoPoint(
            name, latency.p50_ms, row.metric, row.bytes, "bundle" if row.name == BUNDLE else "baseline"
        )
        for name, row, latency in timed
        if row.metric is not None and row.status in _RIGHT
    ]
    if len(points) > 1:
        yield pareto_figure(points, metric=comparison.metric, latency="latency, p50")
    sizes = (("size on disk", lambda row: row.bytes), ("peak memory", lambda row: row.peak_bytes))
    drawn = [chart for title, of in sizes for chart in _megabytes(title, rows, of)]
    if drawn:
        yield Figure(
            "Size of the files that each row loads, and the most memory its process had.", tuple(drawn)
        )


def _named(rows: Sequence[BenchmarkRow]) -> list[tuple[str, BenchmarkRow]]:
    """Name rows, each in another way."""
    found: dict[str, BenchmarkRow] = {}
    for row in rows:
        name = f"{row.name}, {row.engine}"
        found[name if name not in found else f"{name} ({len(found) + 1})"] = row
    return list(found.items())


def _kind(row: BenchmarkRow) -> str:
    return "bad" if row.status not in (*_RIGHT, RowStatus.STORED) else "s0" if row.name == BUNDLE else "grey"


def _latency(timed: Sequence[tuple[str, BenchmarkRow, Latency]]) -> Figure:
    rows = []
    for name, row, latency in timed:
        ends = latency.p50_interval_ms
        told = decimals(latency.p50_ms) + ("" if ends is None else f" ({ends[0]:.2f} to {ends[1]:.2f})")
        told += "" if row.status in _RIGHT else f", {row.status}"
        rows.append(ChartRow(name, told, _kind(row), bar=(0.0, latency.p50_ms), interval=ends))
    values = [end for row in rows for end in (*(row.bar or ()), *(row.interval or ()))]
    return Figure(
        "Median of the time that a call takes, with its 95 % interval: shorter is better. The bundle's bars "
        "are blue, those of rows that answer wrong or failed orange.",
        (row_chart("Median time of a call, row by row", rows, LinearAxis.over(values), across="p50, ms"),),
    )


def _megabytes(
    title: str, rows: Sequence[tuple[str, BenchmarkRow]], of: Callable[[BenchmarkRow], int | None]
) -> Iterator[str]:
    drawn = [
        ChartRow(name, megabytes(count), _kind(row), bar=(0.0, count / 1e6))
        for name, row in rows
        if (count := of(row)) is not None
    ]
    if drawn:
        axis = LinearAxis.over([end for row in drawn for end in row.bar or ()])
        yield row_chart(f"{title.capitalize()}, row by row", drawn, axis, across=f"{title}, MB")
