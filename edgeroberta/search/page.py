"""What became of a budget as a page: the front of what was found, and the candidates that were compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeroberta.report import pages
from edgeroberta.report.figure import Figure
from edgeroberta.report.pareto import ParetoPoint, pareto_figure
from edgeroberta.report.section import Section
from edgeroberta.search import candidates
from edgeroberta.search.probing import ShortDistillation


def page(
    said: Sequence[str],
    points: Sequence[ParetoPoint],
    probes: Sequence[ShortDistillation],
    *,
    metric: str,
    floor: float,
    device: str,
) -> str:
    """Write one HTML file that needs nothing else.

    Args:
        said: What was asked and chosen, and what is missed, in sentences.
        points: What was measured or predicted of the models that were made.
        probes: The candidates that were compared, the best first.
        metric: Name of the task's metric.
        floor: The least of it that was asked for.
        device: What was timed on what.
    """
    drawn = pareto_figure(points, metric=metric, floor=floor, latency=f"latency, p50, {device}")
    return pages.page([Section("Budget", tuple(said), None, (drawn,)), *_compared(probes, device)])


def _compared(probes: Sequence[ShortDistillation], device: str) -> Iterator[Section]:
    if not probes:
        return
    table = candidates.table([probe.candidate for probe in probes], [probe.agreement for probe in probes])
    yield Section(
        "The candidates that were compared",
        ("Each learnt for a short while; times and sizes are predicted.",),
        table,
        tuple(_front(probes, device)),
    )


def _front(probes: Sequence[ShortDistillation], device: str) -> Iterator[Figure]:
    found = [
        ParetoPoint(
            probe.candidate.name,
            1000 * probe.candidate.typical,
            probe.agreement,
            round(probe.candidate.predicted.bytes),
            predicted=True,
        )
        for probe in probes
    ]
    if len(found) > 1:
        yield pareto_figure(found, metric="teacher's answers", latency=f"time of a text, {device}")
