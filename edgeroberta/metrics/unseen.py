"""The row that was never seen: what a compressed model may get wrong without any of the rows showing it."""

from __future__ import annotations

import numpy as np

from edgeroberta.metrics.scores import Array, Floats, Metric
from edgeroberta.tasks import Problem, Task

#: Rows' worth of change that none of the rows shows in one case of forty (97.5 %), exp(-3.7): the "rule
#: of three" (Hanley and Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, 1983).
UNSEEN = 3.7
#: Labels that are taken for each other, where there are more: pairs of all 1,000 would be a million rows.
MOST_LABELS = 40


def rows(task: Task, good: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Make rows on which one model answers as it does and the other has lost what there was to lose.

    ``good``: predictions of the model that keeps its answers, as ``task.decide`` gives them. ``labels``:
    int[n], float[n, L] or float[n], by problem. Returns the former's predictions, the latter's, and labels.
    One label per text: every label taken for every other; of many labels the rarest and the most frequent
    ones, since what a row weighs in any of the metrics rises or falls with how frequent its labels are.
    Several: each row that has a label right without any found. Regression: each row with the mean in place of
    the prediction.
    """
    if task.problem is Problem.REGRESSION:
        return good, np.full(len(good), np.mean(good, dtype=np.float64)), labels
    if task.problem is Problem.MULTI_LABEL:
        truth = labels > 0.5
        kept = (good & truth).any(axis=1)
        kept = kept if kept.any() else np.ones(len(good), dtype=bool)
        return good[kept], np.zeros_like(good[kept]), labels[kept]
    known = np.unique(labels[good == labels])
    known = known if len(known) else np.unique(labels)
    frequency = np.bincount(labels, minlength=task.num_outputs)
    pairs = (_ends(each, frequency) for each in (known, np.arange(task.num_outputs)))
    truth, wrong = (each.ravel() for each in np.meshgrid(*pairs, indexing="ij"))
    different = truth != wrong
    return truth[different], wrong[different], truth[different]


def _ends(labels: Array, frequency: Array) -> Array:
    """Return the rarest and the most frequent of labels, :data:`MOST_LABELS` at most."""
    if len(labels) <= MOST_LABELS:
        return labels
    order = labels[np.argsort(frequency[labels], kind="stable")]
    return np.concatenate([order[: MOST_LABELS // 2], order[-MOST_LABELS // 2 :]])


def worst(metric: Metric, total: Floats, candidates: Floats, *, mass: float = UNSEEN) -> Floats:
    """Average those rows which would lose the most of a metric.

    They are sorted by their influence on the drop, its gradient, and those are averaged that lose the most
    when they make up ``mass`` rows: of a metric that is linear, the first; of a mean over labels, a row of
    each rare label. Of a correlation, whose worst row may be one in a thousand, all are averaged, each in
    proportion to what it loses. ``total``: float64[2 k], the statistics' sums over the rows there are, of
    both models. ``candidates``: float64[c, 2 k], the statistics of rows from :func:`rows`. ``mass``: how many
    such rows there may be. Returns float64[2 k], the statistics of one row.
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
