"""How sure a loss and an agreement are.

Both ends are quantiles of samples of the rows in which there is one row more: one that lost the most,
for the upper end of a loss. So an interval has a width even where no row shows a change; of an accuracy
whose changes are all losses it is that of Clopper and Pearson (1934), and of one with gains and losses
Gaffke's (Three Test Statistics for a Nonparametric One-Sided Hypothesis, 2005; Learned-Miller and Thomas,
A New Confidence Interval for the Mean of a Bounded Random Variable, 2019). A correlation, which a few
rows may decide, takes the wider of this and of :mod:`edgeroberta.metrics.studentized`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics import resampling, studentized
from edgeroberta.metrics.agreement import agrees
from edgeroberta.metrics.resampling import BootstrapSample, Groups
from edgeroberta.metrics.scores import Array, Given, checked, named, value_of
from edgeroberta.tasks import Task
from edgeroberta.tasks.statistics import ranks

#: Samples of an interval: its ends then move by 4 % of its half-width from seed to seed.
SAMPLES = 4000
#: Weights of an interval, unless that were fewer than 1,000 samples.
_CELLS = 20_000_000

#: How many times as many rows are thought of, at most, to tell how many would decide.
_MOST = 2**14


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval."""

    mean: float  # the estimate on the rows as they are
    low: float  # lower end
    high: float  # upper end


@dataclass(frozen=True, eq=False)
class BootstrapOptions:
    """How an interval is made."""

    seed: int = 0
    #: int64[n], equal for rows that stand or fall together, as rows with the same text do; None where each
    #: stands alone
    groups: Groups | None = None
    confidence: float = 0.95  # of the two-sided interval
    samples: int = SAMPLES  # number of samples
    scale: float = 1.0  # what the interval would be with so many times as many rows of the same kinds

    @property
    def tail(self) -> float:
        """Probability on either side."""
        return (1 - self.confidence) / 2

    def shared(self, among: int) -> BootstrapOptions:
        """Return the options for one of so many intervals that together are wrong as seldom as one alone."""
        # Bonferroni's correction. Far out, an end takes more samples to be as steady: a hundredth of them.
        tail = self.tail / max(among, 1)
        samples = max(self.samples, math.ceil(self.samples / 100 / tail))
        return replace(self, confidence=1 - 2 * tail, samples=samples)

    def count(self, cells: int) -> int:
        """Return how many samples of so many numbers each to draw: the more there are, the fewer it takes."""
        return min(self.samples, max(1000, _CELLS // cells))

    def quantile(self, sample: BootstrapSample, *, upper: bool) -> float:
        """Return the upper or lower end of the interval of what is sampled."""
        count = self.count(sample.cells)
        drawn = sample.draw(count, seed=self.seed, scale=self.scale)
        return float(np.quantile(drawn, 1 - self.tail if upper else self.tail))


def drop_interval(
    task: Task, full: Given, ours: Given, labels: Any, draws: BootstrapOptions, *, metric: str | None = None
) -> Interval:
    """Estimate how much of a metric is lost.

    The same rows are drawn for both models, so that what both get wrong cancels out. ``full``: outputs of the
    baseline on n texts. ``ours``: those of the compressed model. ``labels``: those of n rows. ``metric``: its
    name; None for the task's own. Returns the drop ``metric(full) - metric(ours)``; 0.01 is one point.
    """
    first, second = (task.decide(checked(task, each, len(labels))) for each in (full, ours))
    return drop_of_answers(task, first, second, task.truth(labels), draws, metric=metric)


def drop_of_answers(
    task: Task, first: Array, second: Array, truth: Array, draws: BootstrapOptions, *, metric: str | None
) -> Interval:
    """Estimate the same from answers, as ``task.decide`` and ``task.truth`` give them."""
    name = metric or task.metric
    chosen = named(task, truth, name)
    first, second = (chosen.compared(each, truth, task) for each in (first, second))
    return drop_of_compared(task, first, second, truth, draws, metric=name)


def drop_of_compared(
    task: Task, first: Array, second: Array, truth: Array, draws: BootstrapOptions, *, metric: str
) -> Interval:
    """Estimate the same from what a metric compares, see :meth:`edgeroberta.tasks.Metric.compared`."""
    chosen = task.kind.metrics[metric]
    mean = value_of(chosen, task, first, truth) - value_of(chosen, task, second, truth)
    low = -largest_drop(task, second, first, truth, draws, metric=metric)
    return Interval(
        mean, min(mean, low), max(mean, largest_drop(task, first, second, truth, draws, metric=metric))
    )


def largest_drop(
    task: Task, better: Array, worse: Array, truth: Array, draws: BootstrapOptions, *, metric: str
) -> float:
    """Return the upper end of how much more of a metric one model has, from what the metric compares."""
    chosen = task.kind.metrics[metric]
    end = draws.quantile(resampling.sample_drop(task, better, worse, truth, metric, draws.groups), upper=True)
    if not chosen.correlation:
        return end
    high, low, known = (ranks(each) if chosen.ranked else each for each in (better, worse, truth))
    studied = studentized.upper(
        high,
        low,
        known,
        draws.groups,
        tail=draws.tail,
        samples=draws.count(len(truth)),
        seed=draws.seed,
        scale=draws.scale,
    )
    return max(end, min(studied, 2.0))  # two correlations differ by no more


def agreement_interval(task: Task, full: Given, ours: Given, draws: BootstrapOptions) -> Interval:
    """Estimate on which share of all texts two models, by their outputs, say the same."""
    return share_interval(agrees(task, full, ours), draws)


def share_interval(same: npt.NDArray[np.bool_], draws: BootstrapOptions) -> Interval:
    """Estimate of which share of all texts something is true that is so of these, bool[n]."""
    low, high = (
        draws.quantile(resampling.sample_share(same, draws.groups, other=end), upper=end)
        for end in (False, True)
    )
    mean = float(same.mean())
    return Interval(mean, min(mean, low), max(mean, high))


def lead_interval(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], draws: BootstrapOptions
) -> Interval:
    """Estimate how much greater one share of the same rows is than another.

    ``first``: bool[n], on which rows one model is right, or agrees. ``second``: bool[n], on which the other
    does. Returns -1 … 1, above zero where the first is the greater.
    """
    high = draws.quantile(resampling.sample_lead(first, second, draws.groups), upper=True)
    low = -draws.quantile(resampling.sample_lead(second, first, draws.groups), upper=True)
    mean = float(first.mean() - second.mean())
    return Interval(mean, min(mean, low), max(mean, high))


def rows_to_decide(decided: Callable[[float], bool], n: int) -> int | None:
    """Estimate how many rows of the same kinds would decide; None beyond 16,000 times as many."""
    low, high = 1.0, 2.0
    while not decided(high):
        low, high = high, 2 * high
        if high > _MOST:
            return None
    for _ in range(5):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if decided(middle) else (middle, high)
    return max(n + 1, int(np.ceil(n * high)))
