"""The answers of both models in numbers that can be drawn: counts, no texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.metrics import Reliability
from edgeroberta.tasks import Outputs, Task
from edgeroberta.tasks.crosstab import Crosstab

#: Labels that are counted one by one; of more, those that are confused most, and all others together.
MOST_LABELS = 12
#: Squares along each side of the counts of two models' numbers.
_SQUARES = 24
_OTHERS = "all others"


@dataclass(frozen=True)
class ConfusionMatrices:
    """Which answers were given where which label is true, of both models."""

    labels: tuple[str, ...]  # what is true, a row each
    answers: tuple[str, ...]  # what was answered, a column each
    baseline: tuple[tuple[int, ...], ...]  # counts of the baseline's answers, row by row
    compressed: tuple[tuple[int, ...], ...]  # of the compressed model's
    #: labels that the last row stands for, together; 0 where each has a row of its own
    together: int = 0


@dataclass(frozen=True)
class NumberPairs:
    """How near the numbers are that both models give for a text, counted in squares of equal size."""

    name: str  # what the numbers are
    low: float  # where the first square begins, for both models
    high: float  # where the last one ends
    squares: int  # how many there are along each side
    counts: tuple[tuple[int, int, int], ...]  # square of the baseline's, of the compressed model's, texts
    texts: int  # how many have a number
    near: float  # nineteen of twenty differ by at most this


@dataclass(frozen=True)
class ComparedAnswers:
    """What both models answered, on one engine. What the kind of task does not have is None."""

    engine: str  # engine of the compressed model
    confusion: ConfusionMatrices | None
    reliability: tuple[Reliability, Reliability] | None  # of the baseline and the compressed model
    numbers: NumberPairs | None


def compare(task: Task, engine: str, full: Outputs, ours: Outputs, labels: Any) -> ComparedAnswers:
    """Count the answers of the baseline, ``full``, and the compressed model to the same rows."""
    truth = task.truth(labels)
    both = [task.decide(each) for each in (full, ours)]
    tabs = [task.kind.crosstab(task, answers, truth) for answers in both]
    sure = [metrics.reliability(task, each, labels) for each in (full, ours)]
    numbers = [task.kind.numbers(task, answers, truth) for answers in both]
    return ComparedAnswers(
        engine,
        None if tabs[0] is None or tabs[1] is None else _matrices(tabs[0], tabs[1]),
        None if sure[0] is None or sure[1] is None else (sure[0], sure[1]),
        None
        if numbers[0] is None or numbers[1] is None
        else _pairs(numbers[0][0], numbers[0][1], numbers[1][1]),
    )


def _matrices(full: Crosstab, ours: Crosstab) -> ConfusionMatrices:
    square = full.rows == full.columns
    counts = [full.counts, ours.counts]
    labels, answers = full.rows, full.columns
    left = len(labels) - MOST_LABELS
    if left > 1:
        total = full.counts + ours.counts
        wrong = (
            total.sum(axis=0) + total.sum(axis=1) - 2 * total.diagonal()
            if square
            else total[:, 1:].sum(axis=1)
        )
        chosen = np.sort(np.argsort(-wrong, kind="stable")[:MOST_LABELS])
        others = np.setdiff1d(np.arange(len(labels)), chosen)
        counts = [_merged(each, chosen, others) for each in counts]
        labels = (*(labels[number] for number in chosen), _OTHERS)
        if square:
            counts = [_merged(each.T, chosen, others).T for each in counts]
            answers = labels
    first, second = (tuple(tuple(map(int, row)) for row in each) for each in counts)
    return ConfusionMatrices(labels, answers, first, second, together=left if left > 1 else 0)


def _merged(
    counts: npt.NDArray[np.int64], chosen: npt.NDArray[Any], others: npt.NDArray[Any]
) -> npt.NDArray[np.int64]:
    """Keep some rows, and put all others into one."""
    return np.vstack([counts[chosen], counts[others].sum(axis=0)])


def _pairs(name: str, full: npt.NDArray[np.float64], ours: npt.NDArray[np.float64]) -> NumberPairs | None:
    known = np.isfinite(full) & np.isfinite(ours)
    full, ours = full[known], ours[known]
    if not len(full):
        return None
    low, high = (float(end) for end in (min(full.min(), ours.min()), max(full.max(), ours.max())))
    if high - low < 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - 0.5, high + 0.5
    places = [
        np.minimum((_SQUARES * (each - low) / (high - low)).astype(np.int64), _SQUARES - 1)
        for each in (full, ours)
    ]
    near = float(np.quantile(np.abs(full - ours), 0.95))
    return NumberPairs(name, low, high, _SQUARES, tuple(_counted(*places)), len(full), near)


def _counted(across: npt.NDArray[np.int64], up: npt.NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    squares, counts = np.unique(np.stack([across, up]), axis=1, return_counts=True)
    for (x, y), count in zip(squares.T.tolist(), counts.tolist(), strict=True):
        yield x, y, count
