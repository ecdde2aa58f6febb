"""How much of what bears a label is still found, and how sure that is.

The intervals are those of :mod:`edgeroberta.metrics.intervals`, over the texts that have the label: with one
unit more, which has as much of it as any and lost all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.metrics import resampling
from edgeroberta.metrics.intervals import BootstrapOptions, Interval
from edgeroberta.metrics.resampling import Groups
from edgeroberta.metrics.scores import Array, Floats
from edgeroberta.tasks import Metric, Task, statistics

#: Recall of one label, of bool answers and truth: whether it was found, and whether it is there.
_RECALL = Metric(
    lambda said, truth, _: np.stack([said & truth, truth], axis=1).astype(np.float64),
    lambda sums: statistics.ratio(sums[..., 0], sums[..., 1]),
)


@dataclass(frozen=True, eq=False)
class LabelCounts:
    """How often a label is there, and how often two models find it, in each text that has it."""

    label: str
    full: Floats  # float64[m], how often the baseline finds it
    ours: Floats  # float64[m], how often the compressed model does
    wanted: Floats  # float64[m], how often it is there; above zero
    groups: Groups | None  # int64[m], equal for texts that stand or fall together

    @property
    def count(self) -> int:
        """How often it is there in all."""
        return int(self.wanted.sum())

    @property
    def texts(self) -> int:
        """How many different texts have it."""
        return len(self.wanted) if self.groups is None else len(np.unique(self.groups))


def label_counts(
    task: Task, full: Array, ours: Array, truth: Array, groups: Groups | None, *, labels: Iterable[str]
) -> list[LabelCounts]:
    """Count what two models find of some labels, in the order of the labels.

    ``full``: answers of the baseline, as ``task.decide`` gives them. ``ours``: those of the compressed model.
    ``truth``: as ``task.truth`` gives it. ``groups``: int64[n], equal for rows that stand or fall together.
    Raises UsageError: the task has no recall per label, or no such label.
    """
    recall = task.kind.recall(task)
    if recall is None:
        raise UsageError(f"a task of {task.problem.value.replace('_', ' ')} has no recall per label")
    names, count = recall
    found, wanted = np.split(count(full, truth), 2, axis=1)
    ours_found = np.split(count(ours, truth), 2, axis=1)[0]
    counted = []
    for label in labels:
        if label not in names:
            raise UsageError(f"the task has no label {label!r}")
        place = names.index(label)
        has = wanted[:, place] > 0
        counted.append(
            LabelCounts(
                label,
                found[has, place],
                ours_found[has, place],
                wanted[has, place],
                None if groups is None else groups[has],
            )
        )
    return counted


def recall_interval(counts: LabelCounts, low: BootstrapOptions, high: BootstrapOptions) -> Interval:
    """Estimate the compressed model's recall of a label that some text has; each end as its options say."""
    ends = [
        how.quantile(
            resampling.sample_ratio(counts.ours, counts.wanted, counts.groups, other=upper), upper=upper
        )
        for how, upper in ((low, False), (high, True))
    ]
    mean = float(counts.ours.sum() / counts.wanted.sum())
    return Interval(mean, min(mean, ends[0]), max(mean, ends[1]))


def recall_drop_interval(counts: LabelCounts, low: BootstrapOptions, high: BootstrapOptions) -> Interval:
    """Estimate how much recall of a label is lost; each end as its options say."""

    def most(better: Floats, worse: Floats, how: BootstrapOptions) -> float:
        seen = np.stack([better, counts.wanted, worse, counts.wanted], axis=1)
        # Where the better one never finds it, it might in a text that was not seen.
        lost = seen[better > 0] if better.any() else seen
        lost = np.stack([np.maximum(lost[:, 0], 1), lost[:, 1], np.zeros(len(lost)), lost[:, 3]], axis=1)
        return how.quantile(resampling.sample_drop_of(_RECALL, seen, lost, counts.groups), upper=True)

    mean = float((counts.full.sum() - counts.ours.sum()) / counts.wanted.sum())
    low_end, high_end = -most(counts.ours, counts.full, low), most(counts.full, counts.ours, high)
    return Interval(mean, min(mean, low_end), max(mean, high_end))
