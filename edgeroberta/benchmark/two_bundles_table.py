"""The table of two bundles beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from edgeroberta.benchmark.two_bundles import BundleComparison, ComparedBundle
from edgeroberta.figures import ABSENT, CORRELATIONS, decimals, interval, megabytes, points, score
from edgeroberta.metrics import Interval
from edgeroberta.report.table import Column, Table


def text(comparison: BundleComparison) -> str:
    """Lay the tables out for a terminal."""
    return "\n\n".join(table.text() for table in tables(comparison))


def tables(comparison: BundleComparison) -> list[Table]:
    """Lay out both bundles, a line for each figure, and the rows that they answer in another way."""
    return [_figures(comparison), *_differing(comparison)]


def _figures(comparison: BundleComparison) -> Table:
    first, second, metric = comparison.first, comparison.second, comparison.metric
    lines: list[tuple[str, str, str, str]] = [
        ("engine", first.engine, second.engine, ""),
        (
            metric, score(metric, first.metric), score(metric, second.metric),
            _difference(metric, comparison.difference),
        ),
        ("same answers %", "", "", _share(comparison.agreement)),
        *_times(first, second),
        ("speed-up", "", "", _times_faster(comparison.speed_up)),
        ("mean speed-up", "", "", _times_faster(comparison.mean_speed_up)),
        _sizes("files it loads MB", first.bytes, second.bytes),
        _sizes("folder MB", first.folder_bytes, second.folder_bytes),
        _sizes("peak memory MB", first.peak_bytes, second.peak_bytes),
        ("cold start s", decimals(first.cold_start_s), decimals(second.cold_start_s), ""),
    ]  # fmt: skip
    columns = (Column("", right=False), Column(first.name), Column(second.name), Column("second to first"))
    notes = (
        f"{comparison.rows:,} rows of {comparison.source} ({comparison.texts:,} texts); 95 % intervals.",
        *comparison.notes,
    )
    return Table(columns, tuple(lines), notes)


def _times(first: ComparedBundle, second: ComparedBundle) -> Iterator[tuple[str, str, str, str]]:
    for name in ("mean", "p50", "p90", "p99"):
        cells = (
            decimals(None if each.latency is None else getattr(each.latency, f"{name}_ms"))
            for each in (first, second)
        )
        yield (f"{name} ms", *cells, "")  # type: ignore[misc]  # two cells


def _sizes(name: str, first: int | None, second: int | None) -> tuple[str, str, str, str]:
    ratio = f"{second / first:.2f}×" if first and second else ABSENT
    return name, megabytes(first), megabytes(second), ratio


def _times_faster(factor: float | None) -> str:
    return ABSENT if factor is None else f"{factor:.2f}×"


def _share(found: Interval | None) -> str:
    if found is None:
        return ABSENT
    return f"{points(found.mean)} ({points(found.low)} to {points(found.high)})"


def _difference(metric: str, found: Interval | None) -> str:
    if found is None:
        return ABSENT
    if metric in CORRELATIONS:
        return f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return interval(found.mean, found.low, found.high)


def _differing(comparison: BundleComparison) -> Iterator[Table]:
    """Lay out rows with other answers; their texts where these were kept."""
    shown = comparison.examples
    if not shown:
        return
    kept = any(each.text is not None for each in shown)
    titles = ("row", "label", comparison.first.name, comparison.second.name, *(["text"] if kept else []))
    lines = [
        (
            str(each.row), each.truth or ABSENT, each.first, each.second,
            *([" | ".join(filter(None, (each.text, each.pair)))] if kept else []),
        )
        for each in shown
    ]  # fmt: skip
    more = comparison.differing - len(shown)
    notes = [f"{comparison.differing:,} rows have another answer; {more:,} are not shown."] if more else []
    if not kept:
        notes.append("--keep-examples shows their texts.")
    table = Table.of(titles, lines, words=range(1, len(titles)))
    yield Table(table.columns, table.rows, tuple(notes))
