"""Compare two bundles on the same rows."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta.api import bundles
from edgeroberta.api.data import Data, spec
from edgeroberta.api.results import Result, reporting
from edgeroberta.errors import EdgeRobertaError, EngineError

if TYPE_CHECKING:
    from edgeroberta.benchmark.two_bundles import BundleComparison
    from edgeroberta.progress import Progress
    from edgeroberta.report.table import Table


@dataclass(frozen=True)
class ComparisonResult(Result):
    """Two bundles beside each other; ``errors`` says of one that could not be measured why."""

    comparison: BundleComparison  # what both answer and take, and how the second stands to the first
    errors: tuple[EdgeRobertaError, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object, the same as ``edgeroberta compare --json``."""
        return self.comparison.to_json()

    def __str__(self) -> str:
        from edgeroberta.benchmark import two_bundles_table

        return two_bundles_table.text(self.comparison)

    def _tables(self) -> Iterable[Table]:
        from edgeroberta.benchmark import two_bundles_table

        return two_bundles_table.tables(self.comparison)


def compare(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    data: Data | None = None,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    label_format: str | None = None,
    metric: str | None = None,
    eval_data: Data | None = None,
    rows: int = 1000,
    engine: str | None = None,
    batch: int = 1,
    threads: int = 1,
    rounds: int = 5,
    keep_examples: bool = False,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Compare what two bundles answer to the same rows, how fast they are in turns, and how large.

    Args:
        first: The bundle that is compared with: its folder, or its name on the Hub.
        second: The other one; of the same task and labels, in whatever order.
        data: Rows to compare on; those the first bundle was made with if not given.
        text: Column of the text, as for :func:`compress`.
        text_pair: Column of the second text.
        label: Column of the label or value.
        label_format: How labels are written.
        metric: Metric that is shown; the one the first bundle was judged by if not given.
        eval_data: Rows to compare on; else those once held out of ``data``, or all of another file.
        rows: Compare on at most this many rows.
        engine: Engine that both run on; else the first of each that is installed.
        batch: Texts per timed call.
        threads: Threads for one call.
        rounds: Turns that each gets.
        keep_examples: Keep texts of the rows with other answers.
        progress: Where to report; bars in a terminal or notebook if not given.

    Returns:
        The share of same answers and the difference of the metric with their intervals, rows that differ,
        times, sizes and memory.

    Raises:
        BundleError: One is not a bundle, or a damaged one.
        DataError: The data cannot be used.
        UsageError: They are of other tasks or labels, there are no rows, or one was not built for the engine.
    """
    from edgeroberta.benchmark import two_bundles
    from edgeroberta.benchmark.bench_request import BenchRequest

    one, other = bundles.find(first), bundles.find(second)
    measured = BenchRequest(
        bundle=one,
        data=spec(
            data, text=text, text_pair=text_pair, label=label, label_format=label_format, eval_data=eval_data
        ),
        rows=rows,
        batch=batch,
        threads=threads,
        rounds=rounds,
        metric=metric,
    )
    request = two_bundles.CompareRequest(one, other, measured, engine, keep_examples)
    found = two_bundles.compare(request, progress=reporting(progress))
    errors = tuple(
        EngineError(each.error, where=each.name) for each in (found.first, found.second) if each.error
    )
    return ComparisonResult(found, errors)
