"""Samples of rows, as weights; and a metric's loss in each of them.

Weights are drawn as Rubin's Bayesian bootstrap has them (The Bayesian Bootstrap, 1981): each row gets one
of an exponential distribution, and rows that are equal get their sum at once, of a gamma distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics import unseen
from edgeroberta.metrics.scores import Array, Floats
from edgeroberta.tasks import Metric, Task

Groups = npt.NDArray[np.int64]

#: Weights held at once: 4 million float64 are 32 MB.
_CELLS_PER_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False)
class BootstrapSample:
    """Units that are drawn, and what is asked of them."""

    #: float64[m], how many equal units there are of each kind; the last is one that was never seen
    counts: Floats
    value: Callable[[Floats], Floats]  # of weights float64[b, m], the quantity float64[b]
    #: what ``value`` makes of each sample has so many cells, where these are more than the weights
    rows: int = 0

    @property
    def cells(self) -> int:
        """How many numbers a sample takes."""
        return max(len(self.counts), self.rows)

    def draw(self, samples: int, *, seed: int, scale: float = 1.0) -> Floats:
        """Return the quantity in samples of the units, float64[samples].

        ``scale``: how many times as many units to take, of the same kinds in the same shares; the last stays
        one.
        """
        rng = np.random.default_rng(seed)
        shapes = self.counts[:-1] * scale
        # In even steps, since where nothing changes the quantile asked for is that of this weight alone.
        last = -np.log1p(-(rng.permutation(samples) + 0.5) / samples)
        block = max(1, _CELLS_PER_BLOCK // self.cells)
        found = []
        for start in range(0, samples, block):
            unseen_weight = last[start : start + block, None]
            seen = rng.standard_gamma(shapes, (len(unseen_weight), len(shapes)))
            found.append(self.value(np.hstack([seen, unseen_weight])))
        return np.concatenate(found)


def sample_drop(
    task: Task, ours: Array, theirs: Array, truth: Array, metric: str, groups: Groups | None
) -> BootstrapSample:
    """Sample how much of a metric one model has more than another, with one unit that lost the most.

    ``ours``: of the model that may be better, what the metric compares, see
    :meth:`edgeroberta.tasks.Metric.compared`. ``truth``: as ``task.truth`` gives it. ``groups``: int64[n],
    equal for rows that stand or fall together; None where each stands alone.
    """
    chosen = task.kind.metrics[metric]
    if chosen.ranked:
        return _of_ranks(ours, theirs, truth, groups)
    lost = task.kind.lost(task, ours, truth)
    rows = len(truth)
    both = np.hstack(
        [
            chosen.statistics(np.concatenate([known, new]), np.concatenate([truth, lost[2]]), task)
            for known, new in ((ours, lost[0]), (theirs, lost[1]))
        ]
    )
    return sample_drop_of(chosen, both[:rows], both[rows:], groups)


def sample_drop_of(metric: Metric, seen: Floats, lost: Floats, groups: Groups | None) -> BootstrapSample:
    """Sample how much of a metric one model has more than another, by the statistics of both.

    ``seen``: float64[n, 2 k] of the rows, both models' side by side. ``lost``: float64[c, 2 k] of rows that
    the second may have lost unseen; at least one.
    """
    units = group_sums(seen, groups)
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    # What was never seen comes in units of the size of those that were.
    row = unseen.worst(metric, units.sum(axis=0), lost * (len(seen) / len(units)))
    kinds = np.vstack([kinds, row])
    return BootstrapSample(np.append(counts, 1.0), lambda weights: unseen.drop(metric, weights @ kinds))


def sample_share(yes: npt.NDArray[np.bool_], groups: Groups | None, *, other: bool) -> BootstrapSample:
    """Sample a share of rows, with one unit more of which all are as ``other`` says.

    Without groups, its quantiles are the bounds of Clopper and Pearson.
    """
    return sample_ratio(yes.astype(np.float64), np.ones(len(yes)), groups, other=other)


def sample_ratio(parts: Floats, wholes: Floats, groups: Groups | None, *, other: bool) -> BootstrapSample:
    """Sample the ratio of two sums, with one unit more that is as ``other`` says: all of its whole, or none.

    ``parts``: float64[n], at most the wholes. ``wholes``: float64[n]; the unit has the largest of them.
    """
    units = group_sums(np.stack([parts, wholes], axis=1), groups)
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    size = wholes.max() * (len(wholes) / len(units))
    kinds = np.vstack([kinds, [size * other, size]])

    def ratio(weights: Floats) -> Floats:
        sums = weights @ kinds
        return np.asarray(sums[:, 0] / sums[:, 1])

    return BootstrapSample(np.append(counts, 1.0), ratio)


def sample_lead(
    first: npt.NDArray[np.bool_], second: npt.NDArray[np.bool_], groups: Groups | None
) -> BootstrapSample:
    """Sample how much greater the first of two shares of the same rows is, with one unit only of it more."""
    units = group_sums(np.stack([first, second, np.ones(len(first))], axis=1).astype(np.float64), groups)
    kinds, counts = np.unique(units, axis=0, return_counts=True)
    size = len(first) / len(units)
    kinds = np.vstack([kinds, [size, 0, size]])

    def lead(weights: Floats) -> Floats:
        sums = weights @ kinds
        return np.asarray((sums[:, 0] - sums[:, 1]) / sums[:, 2])

    return BootstrapSample(np.append(counts, 1.0), lead)


def group_sums(rows: Floats, groups: Groups | None) -> Floats:
    """Add up rows that stand or fall together."""
    if groups is None:
        return rows
    names, inverse = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(names), rows.shape[1]))
    np.add.at(sums, inverse, rows)
    return sums


def _of_ranks(ours: Array, theirs: Array, labels: Array, groups: Groups | None) -> BootstrapSample:
    """Sample the difference of two rank correlations; ranks are those within each sample.

    What was never seen is a row at the outer decile that one model ranks there and the other in the
    middle. It weighs about twice as much as a row does on average (3 * 0.8²).
    """
    x, y, truth = (
        np.append(seen, np.quantile(seen, at)).astype(np.float64)
        for seen, at in ((ours, 0.9), (theirs, 0.5), (labels, 0.9))
    )
    names = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    size = len(labels) / (names.max() + 1)
    names = np.append(names, names.max() + 1)
    sizes = np.append(np.ones(len(labels)), size)
    ranked = [_Ranks.of(each) for each in (x, y, truth)]

    def value(weights: Floats) -> Floats:
        each = weights[:, names] * sizes
        first, second, right = (ranks.within(each) for ranks in ranked)
        return _correlation(each, first, right) - _correlation(each, second, right)

    return BootstrapSample(np.ones(names.max() + 1), value, len(names))


@dataclass(frozen=True, eq=False)
class _Ranks:
    """Values in order: ``inverse`` int64[n] is the place of each among the different ones."""

    order: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    inverse: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: Array) -> _Ranks:
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        return cls(np.argsort(values, kind="stable"), np.cumsum(counts) - 1, inverse)

    def within(self, weights: Floats) -> Floats:
        """Return float64[b, n] ranks in samples of weights float64[b, n], equal values in the middle."""
        ends = np.cumsum(weights[:, self.order], axis=1)[:, self.ends]
        starts = np.hstack([np.zeros((len(ends), 1)), ends[:, :-1]])
        return ((ends + starts) / 2)[:, self.inverse]


def _correlation(weights: Floats, x: Floats, y: Floats) -> Floats:
    total = weights.sum(axis=1, keepdims=True)
    x = x - (weights * x).sum(axis=1, keepdims=True) / total
    y = y - (weights * y).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    found: Any = (weights * x * y).sum(axis=1)
    return np.where(spread > 0, found / np.where(spread > 0, spread, 1.0), 0.0)
