"""Task metrics. All but Spearman's are functions of sums over rows of a few statistics per row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.tasks import Problem, Task

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Metric:
    """How a metric comes out of predictions."""

    #: of predictions, labels and the number of outputs, float64[n, k] per row
    statistics: Callable[[Array, Array, int], Floats]
    value: Callable[[Floats], Floats]  # of float64[…, k] sums of the statistics, the metric float64[…]
    ranked: bool = False  # True when predictions and labels are replaced by their ranks first
    correlation: bool = False  # True for a correlation, in which a few rows may weigh as much as all others


def score(task: Task, logits: Array, labels: Array, *, metric: str | None = None) -> float:
    """Return a metric.

    ``logits``: float[n, L]. ``labels``: int[n], float[n, L] or float[n], by problem. ``metric``: its name,
    see :data:`METRICS`; None for the one the task is judged by by default. Returns accuracy or F1 in 0 … 1,
    or a correlation in -1 … 1. A correlation with a constant, and an F1 with nothing to find and nothing
    found, are 0. Raises EdgeRobertaError: the logits are not finite, or not one row of L per label.
    """
    check(task, logits, len(labels))
    chosen = METRICS[task.problem][metric or task.metric]
    predicted = task.decide(logits)
    if chosen.ranked:
        predicted, labels = ranks(predicted), ranks(labels)
    return float(chosen.value(chosen.statistics(predicted, labels, task.num_outputs).sum(axis=0)))


def all_metrics(task: Task, logits: Array, labels: Array) -> dict[str, float]:
    """Return all metrics of the task's problem by name.

    ``logits``: float[n, L]. ``labels``: int[n], float[n, L] or float[n], by problem. Returns ``accuracy``,
    ``macro_f1`` and ``matthews``; or ``micro_f1``, ``macro_f1`` and ``subset_accuracy`` (all labels of a row
    right); or ``pearson``, ``spearman`` and ``rmse`` (in the label's unit). Macro F1 is the mean over the
    labels that occur in the rows or in the predictions.
    """
    found = {name: score(task, logits, labels, metric=name) for name in METRICS[task.problem]}
    if task.problem is Problem.REGRESSION:
        errors = task.decide(logits).astype(np.float64) - labels
        found["rmse"] = float(np.sqrt(np.mean(errors**2)))
    return found


def check(task: Task, logits: Array, rows: int) -> None:
    """Refuse logits that cannot be scored: no rows, not one row of L for each, or not finite."""
    if rows == 0:
        raise EdgeRobertaError("there are no rows to measure on")
    if logits.shape != (rows, task.num_outputs):
        raise EdgeRobertaError(
            f"the model gave logits of shape {logits.shape} for {rows} rows and {task.num_outputs} outputs"
        )
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise EdgeRobertaError(f"the model's logits are not finite, first for row {row + 1}")


def ranks(values: Array) -> Floats:
    """Return float64[n] ranks from 0, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[inverse]


def pearson(sums: Floats) -> Floats:
    """Return correlations float64[…] from sums float64[…, 6] of 1, x, y, x², y² and xy."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    var_x, var_y = xx / n - (x / n) ** 2, yy / n - (y / n) ** 2
    spread = np.sqrt(np.maximum(var_x, 0) * np.maximum(var_y, 0))
    # A constant leaves rounding errors of about 1e-16 of the square; it has no correlation.
    flat = spread <= 1e-12 * np.maximum(np.sqrt(xx * yy) / n, 1e-300)
    return np.where(flat, 0.0, (xy / n - x * y / n**2) / np.where(flat, 1.0, spread))


def _moments(x: Array, y: Array, _: int) -> Floats:
    """Return 1, x, y, x², y², xy, of centred values for the sake of rounding."""
    x = x.astype(np.float64) - np.mean(x, dtype=np.float64)
    y = y.astype(np.float64) - np.mean(y, dtype=np.float64)
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _right(right: Array) -> Floats:
    return np.stack([right, np.ones(len(right))], axis=1).astype(np.float64)


def _share(sums: Floats) -> Floats:
    return sums[..., 0] / sums[..., 1]


def _f1(hits: Floats, found: Floats, wanted: Floats) -> Floats:
    total = found + wanted
    return np.where(total > 0, 2 * hits / np.where(total > 0, total, 1), 0.0)


def _together(predicted: Array, labels: Array, _: int) -> Floats:
    """Return hits, found and wanted over all labels."""
    truth = labels > 0.5
    return np.stack([(each).sum(axis=1) for each in (predicted & truth, predicted, truth)], axis=1).astype(
        np.float64
    )


def _by_label(predicted: Array, labels: Array, _: int) -> Floats:
    """Return hits, found and wanted of each label, float64[n, 3 L]."""
    truth = labels > 0.5
    return np.hstack([predicted & truth, predicted, truth]).astype(np.float64)


def _one_hot(predicted: Array, labels: Array, outputs: int) -> Floats:
    """Return hits, found and wanted of each label, float64[n, 3 L], of one label per row."""
    names = np.arange(outputs)
    return _by_label(predicted[:, None] == names, labels[:, None] == names, outputs)


def _macro(sums: Floats) -> Floats:
    hits, found, wanted = np.split(sums, 3, axis=-1)
    occurs = np.maximum((found + wanted > 0).sum(axis=-1), 1)
    return _f1(hits, found, wanted).sum(axis=-1) / occurs


def _matthews(sums: Floats) -> Floats:
    """Matthews' correlation of any number of labels (Gorodkin 2004, R_K)."""
    hits, found, wanted = np.split(sums, 3, axis=-1)
    n = wanted.sum(axis=-1)
    covariance = n * hits.sum(axis=-1) - (found * wanted).sum(axis=-1)
    spread = np.sqrt(
        np.maximum(n**2 - (found**2).sum(axis=-1), 0) * np.maximum(n**2 - (wanted**2).sum(axis=-1), 0)
    )
    flat = spread <= 1e-12 * n**2
    return np.where(flat, 0.0, covariance / np.where(flat, 1.0, spread))


#: What a model can be judged by, of each kind of task; the default is ``Task.metric``.
METRICS: Mapping[Problem, Mapping[str, Metric]] = {
    Problem.SINGLE_LABEL: {
        "accuracy": Metric(lambda predicted, labels, _: _right(predicted == labels), _share),
        "macro_f1": Metric(_one_hot, _macro),
        "matthews": Metric(_one_hot, _matthews),
    },
    Problem.MULTI_LABEL: {
        "micro_f1": Metric(_together, lambda sums: _f1(sums[..., 0], sums[..., 1], sums[..., 2])),
        "macro_f1": Metric(_by_label, _macro),
        "subset_accuracy": Metric(
            lambda predicted, labels, _: _right((predicted == (labels > 0.5)).all(axis=1)), _share
        ),
    },
    Problem.REGRESSION: {
        "pearson": Metric(_moments, pearson, correlation=True),
        "spearman": Metric(_moments, pearson, ranked=True, correlation=True),
    },
}


def calibration_error(task: Task, logits: Array, labels: Array, *, bins: int = 15) -> float | None:
    """Return how far probabilities are from the frequencies that they promise.

    The expected calibration error of Guo et al. (On Calibration of Modern Neural Networks, ICML 2017) over
    bins of equal width: the mean gap between probability and frequency in a bin, weighted by its rows. Of one
    label per text it takes the probability of the answer and how often answers are right; of several, the
    probability of each label and how often it applies, and the mean over the labels. ``logits``: float[n, L].
    ``labels``: int[n], float[n, L] or float[n], by problem. Returns 0 … 1; None for a regression, which has
    no probabilities.
    """
    check(task, logits, len(labels))
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


def _gap(probabilities: Floats, happened: Array, bins: int) -> float:
    """Return the calibration error of float64[n] probabilities of what bool[n] tells to have happened."""
    # Bin m holds the probabilities in (m / bins, (m + 1) / bins], as in the paper.
    which = np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
    gaps = np.bincount(which, weights=happened - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(probabilities))
