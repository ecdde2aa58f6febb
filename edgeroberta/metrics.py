"""Task metrics, agreement of two models, and how sure a difference is.

Every metric here is a function of sums over rows of a few statistics per row. So a bootstrap sample
is a weight per row, and all samples together are one matrix product.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.tasks import Problem, Task

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: Two regression values agree when they differ by at most this part of the reference's range.
REGRESSION_TOLERANCE = 0.05

#: Weights held at once by the bootstrap: 4 million float64 are 32 MB.
_CELLS_PER_BLOCK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval.

    Attributes:
        mean: The estimate on the rows as they are.
        low: Lower end.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


def score(task: Task, logits: Array, labels: Array) -> float:
    """Return the metric the task is judged by (``task.metric``).

    Args:
        task: The task.
        logits: float[n, L].
        labels: int[n], float[n, L] or float[n], by problem.

    Returns:
        Accuracy or micro-averaged F1 in 0 … 1, or Pearson's correlation in -1 … 1. A correlation
        with a constant, and an F1 with nothing to find and nothing found, are 0.

    Raises:
        EdgeRobertaError: The logits are not finite, or not one row of L per label.
    """
    return float(_metric(task, _statistics(task, logits, labels).sum(axis=0)))


def all_metrics(task: Task, logits: Array, labels: Array) -> dict[str, float]:
    """Return all metrics of the task's problem by name.

    Args:
        task: The task.
        logits: float[n, L].
        labels: int[n], float[n, L] or float[n], by problem.

    Returns:
        ``accuracy`` and ``macro_f1``; or ``micro_f1``, ``macro_f1`` and ``subset_accuracy`` (all
        labels of a row right); or ``pearson``, ``spearman`` and ``rmse`` (in the label's unit).
        Macro F1 is the mean over the labels that occur in the rows or in the predictions.

    Raises:
        EdgeRobertaError: As for :func:`score`.
    """
    main = {task.metric: score(task, logits, labels)}
    predicted = task.decide(logits)
    if task.problem is Problem.REGRESSION:
        errors = predicted.astype(np.float64) - labels
        spearman = _pearson(_moments(_ranks(predicted), _ranks(labels)).sum(axis=0))
        return {**main, "spearman": float(spearman), "rmse": float(np.sqrt(np.mean(errors**2)))}
    if task.problem is Problem.MULTI_LABEL:
        truth = labels > 0.5
        exact = float(np.mean((predicted == truth).all(axis=1)))
        return {**main, "macro_f1": _macro_f1(predicted, truth), "subset_accuracy": exact}
    names = np.arange(task.num_outputs)
    return {**main, "macro_f1": _macro_f1(predicted[:, None] == names, labels[:, None] == names)}


def agreement(task: Task, logits_a: Array, logits_b: Array) -> float:
    """Return the part of the rows on which two models say the same.

    Args:
        task: The task.
        logits_a: float[n, L] of the reference.
        logits_b: float[n, L] of the other model.

    Returns:
        0 … 1. One label per text: the same label. Several: the same set of labels. Regression: the
        values differ by at most 5 % of the range of the reference's values.

    Raises:
        EdgeRobertaError: As for :func:`score`.
    """
    _check(task, logits_a, len(logits_a))
    _check(task, logits_b, len(logits_a))
    a, b = task.decide(logits_a), task.decide(logits_b)
    if task.problem is Problem.REGRESSION:
        same = np.abs(a - b) <= REGRESSION_TOLERANCE * np.ptp(a)
    elif task.problem is Problem.MULTI_LABEL:
        same = (a == b).all(axis=1)
    else:
        same = a == b
    return float(np.mean(same))


def calibration_error(task: Task, logits: Array, labels: Array, *, bins: int = 15) -> float | None:
    """Return how far probabilities are from the frequencies that they promise.

    The expected calibration error of Guo et al. (On Calibration of Modern Neural Networks, ICML 2017)
    over bins of equal width: the mean gap between probability and frequency in a bin, weighted by its
    rows. Of one label per text it takes the probability of the answer and how often answers are right;
    of several, the probability of each label and how often it applies, and the mean over the labels.

    Args:
        task: The task.
        logits: float[n, L].
        labels: int[n], float[n, L] or float[n], by problem.
        bins: Number of bins.

    Returns:
        0 … 1; None for a regression, which has no probabilities.

    Raises:
        EdgeRobertaError: As for :func:`score`.
    """
    _check(task, logits, len(labels))
    if task.problem is Problem.REGRESSION:
        return None
    scores = logits.astype(np.float64)
    if task.problem is Problem.MULTI_LABEL:
        # The same as 1 / (1 + exp(-x)), without its overflow.
        probabilities = 0.5 * (1 + np.tanh(0.5 * scores))
        gaps = [_gap(probabilities[:, k], labels[:, k] > 0.5, bins) for k in range(task.num_outputs)]
        return float(np.mean(gaps))
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return _gap(
        (shifted / shifted.sum(axis=1, keepdims=True)).max(axis=1), task.decide(logits) == labels, bins
    )


def paired_bootstrap(
    task: Task,
    ref_logits: Array,
    new_logits: Array,
    labels: Array,
    *,
    samples: int = 2000,
    seed: int,
    confidence: float = 0.95,
) -> Interval:
    """Estimate how much of the metric is lost, with a percentile interval.

    Rows are drawn with replacement, the same ones for both models, so that what both get wrong
    cancels out (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13; Koehn,
    Statistical Significance Tests for Machine Translation Evaluation, 2004). Samples of the rows
    cannot show a change that none of the rows shows: where the models agree on all of them, the
    percentiles have no width, however few the rows are. So the upper end lies at least
    :func:`unseen` above the drop.

    Args:
        task: The task.
        ref_logits: float[n, L] of the full-size model.
        new_logits: float[n, L] of the compressed model.
        labels: int[n], float[n, L] or float[n], by problem.
        samples: Number of bootstrap samples.
        seed: Seed of the draws.
        confidence: Of the two-sided interval.

    Returns:
        The drop ``metric(ref) - metric(new)``; 0.01 is one point.

    Raises:
        EdgeRobertaError: As for :func:`score`.
    """
    statistics = np.hstack([_statistics(task, logits, labels) for logits in (ref_logits, new_logits)])
    rng = np.random.default_rng(seed)
    rows, half = len(statistics), statistics.shape[1] // 2
    block = max(1, _CELLS_PER_BLOCK // rows)
    drops = []
    for start in range(0, samples, block):
        count = min(block, samples - start)
        drawn = rng.integers(0, rows, size=(count, rows), dtype=np.int64)
        drawn += rows * np.arange(count)[:, None]
        weights = np.bincount(drawn.ravel(), minlength=count * rows).reshape(count, rows)
        sums = weights.astype(np.float64) @ statistics
        drops.append(_metric(task, sums[:, :half]) - _metric(task, sums[:, half:]))
    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(drops), [tail, 1 - tail])
    total = statistics.sum(axis=0)
    mean = float(_metric(task, total[:half]) - _metric(task, total[half:]))
    return Interval(mean, float(low), max(float(high), mean + unseen(rows, confidence)))


def unseen(n: int, confidence: float = 0.95) -> float:
    """Return how large a share of all texts may change in a way that none of ``n`` rows shows.

    The one-sided Clopper-Pearson bound for none of ``n``, 3.7 / n at 97.5 % (the "rule of three":
    Hanley and Lippman-Hand, If Nothing Goes Wrong, Is Everything All Right?, 1983). A changed row
    weighs 1 / n of an accuracy, and about that of the other metrics.

    Args:
        n: Number of rows.
        confidence: Of the two-sided interval that this is the upper half of.

    Returns:
        0 … 1.
    """
    return float(-np.expm1(math.log((1 - confidence) / 2) / n))


def rows_to_decide(interval: Interval, n: int, threshold: float, *, confidence: float = 0.95) -> int:
    """Estimate how many rows would settle on which side of a threshold the drop lies.

    The interval's half-width shrinks with one over the square root of the rows, its middle is taken
    to stay. An upper half that is :func:`unseen` alone shrinks with one over the rows. A drop nearer
    to the threshold than half a row counts as half a row away.

    Args:
        interval: The interval of the drop on the rows there are.
        n: How many rows those are.
        threshold: The largest drop allowed, as a fraction.
        confidence: Of the interval.

    Returns:
        The total number of rows; ``n`` when the interval already is on one side.
    """
    if interval.high <= threshold or interval.low > threshold:
        return n
    below = interval.mean <= threshold
    half = interval.high - interval.mean if below else interval.mean - interval.low
    distance = max(abs(threshold - interval.mean), 0.5 / n)
    if below and math.isclose(half, unseen(n, confidence), rel_tol=1e-6):
        room = threshold - interval.mean or distance
        return max(n + 1, math.ceil(math.log((1 - confidence) / 2) / math.log1p(-room)))
    return max(n + 1, math.ceil(n * (half / distance) ** 2))


def _check(task: Task, logits: Array, rows: int) -> None:
    if rows == 0:
        raise EdgeRobertaError("there are no rows to measure on")
    if logits.shape != (rows, task.num_outputs):
        raise EdgeRobertaError(
            f"the model gave logits of shape {logits.shape} for {rows} rows and {task.num_outputs} outputs"
        )
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise EdgeRobertaError(f"the model's logits are not finite, first for row {row + 1}")


def _statistics(task: Task, logits: Array, labels: Array) -> Floats:
    """Return float64[n, k], the sums of which give the metric."""
    _check(task, logits, len(labels))
    predicted = task.decide(logits)
    if task.problem is Problem.SINGLE_LABEL:
        return np.stack([predicted == labels, np.ones(len(labels))], axis=1).astype(np.float64)
    if task.problem is Problem.MULTI_LABEL:
        truth = labels > 0.5
        hits, found, wanted = predicted & truth, predicted, truth
        return np.stack([hits.sum(axis=1), found.sum(axis=1), wanted.sum(axis=1)], axis=1).astype(np.float64)
    return _moments(predicted, labels)


def _metric(task: Task, sums: Floats) -> Floats:
    """Return float64[…] metrics from float64[…, k] sums of the statistics."""
    if task.problem is Problem.SINGLE_LABEL:
        return sums[..., 0] / sums[..., 1]
    if task.problem is Problem.MULTI_LABEL:
        return _f1(sums[..., 0], sums[..., 1], sums[..., 2])
    return _pearson(sums)


def _gap(probabilities: Floats, happened: Array, bins: int) -> float:
    """Return the calibration error of float64[n] probabilities of what bool[n] tells to have happened."""
    # Bin m holds the probabilities in (m / bins, (m + 1) / bins], as in the paper.
    which = np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=happened - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(probabilities))


def _moments(x: Array, y: Array) -> Floats:
    """Return float64[n, 6]: 1, x, y, x², y², xy, of centred values for the sake of rounding."""
    x = x.astype(np.float64) - np.mean(x, dtype=np.float64)
    y = y.astype(np.float64) - np.mean(y, dtype=np.float64)
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _pearson(sums: Floats) -> Floats:
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    spread = np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0))
    # A constant leaves rounding errors of about 1e-16 of the square; it has no correlation.
    flat = spread <= 1e-12 * np.maximum(np.sqrt(xx * yy) / n, 1e-300)
    return np.where(flat, 0.0, (xy / n - x * y / n**2) / np.where(flat, 1.0, spread))


def _f1(hits: Array, found: Array, wanted: Array) -> Floats:
    total = found + wanted
    return np.where(total > 0, 2 * hits / np.where(total > 0, total, 1), 0.0)


def _macro_f1(predicted: Array, truth: Array) -> float:
    """Mean F1 over the labels that occur; ``predicted`` and ``truth`` are bool[n, L]."""
    hits, found, wanted = (predicted & truth).sum(axis=0), predicted.sum(axis=0), truth.sum(axis=0)
    occurs = (found + wanted) > 0
    return float(np.mean(_f1(hits, found, wanted)[occurs])) if occurs.any() else 0.0


def _ranks(values: Array) -> Floats:
    """Return ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]
