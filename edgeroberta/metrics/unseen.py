"""The row that was never seen: what a compressed model may get wrong without any of the rows showing it."""

from __future__ import annotations

import numpy as np

from edgeroberta.metrics.scores import Floats
from edgeroberta.tasks import Metric

#: Rows' worth of change that none of the rows shows in one case of forty (97.5 %), exp(-3.7): the "rule
#: of three" (Hanley and Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, 1983).
UNSEEN = 3.7


def worst(metric: Metric, total: Floats, candidates: Floats, *, mass: float = UNSEEN) -> Floats:
    """Average those rows which would lose the most of a metric.

    They are sorted by their influence on the drop, its gradient, and those are averaged that lose the most
    when they make up ``mass`` rows: of a metric that is linear, the first; of a mean over labels, a row of
    each rare label. Of a correlation, whose worst row may be one in a thousand, all are averaged, each in
    proportion to what it loses. ``total``: float64[2 k], the statistics' sums over the rows there are, of
    both models. ``candidates``: float64[c, 2 k], the statistics of texts as
    :meth:`edgeroberta.tasks.kind.TaskKind.lost` makes them. ``mass``: how many such rows there may be.
    Returns float64[2 k], the statistics of one row.
    """
    step = 1e-4
    loss = drop(metric, total + step * candidates) - drop(metric, total)
    if metric.correlation and (loss > 0).any():
        share = np.maximum(loss, 0)
        return np.asarray(share @ candidates / share.sum())
    ordered = candidates[np.argsort(-loss, kind="stable")]
    means = np.cumsum(ordered, axis=0) / np.arange(1, len(ordered) + 1)[:, None]
    return means[np.argmax(drop(metric, total + mass * means))]


def drop(metric: Metric, sums: Floats) -> Floats:
    """Return what is lost, float64[…], from float64[…, 2 k] sums of both models' statistics."""
    half = sums.shape[-1] // 2
    return metric.value(sums[..., :half]) - metric.value(sums[..., half:])
