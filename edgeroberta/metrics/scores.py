"""Task metrics. All but Spearman's are functions of sums over texts of a few statistics per text."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.tasks import Metric, Outputs, Problem, Task, Unit, as_outputs
from edgeroberta.tasks.statistics import ranks

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
#: What the metrics take: outputs, or logits float32 ``[n, L]`` of one row per text.
Given = Outputs | Array


def score(task: Task, outputs: Given, labels: Any, *, metric: str | None = None) -> float:
    """Return a metric.

    ``outputs``: of n texts. ``labels``: those of n rows, see :class:`edgeroberta.data.rows.Rows`. ``metric``:
    its name, one of ``task.metrics``; None for the one the task is judged by. Returns accuracy, F1, precision
    or recall in 0 … 1, or a correlation in -1 … 1. A correlation with a constant, and an F1 with nothing to
    find and nothing found, are 0. Raises EdgeRobertaError: the outputs are not finite,
    or not L numbers per unit.
    """
    checked(task, outputs, len(labels))
    return of_answers(task, task.decide(outputs), task.truth(labels), metric or task.metric)


def of_answers(task: Task, answers: Array, truth: Array, metric: str) -> float:
    """Return a metric of answers, as ``task.decide`` and ``task.truth`` give them."""
    chosen = named(task, truth, metric)
    return value_of(chosen, task, chosen.compared(answers, truth, task), truth)


def named(task: Task, truth: Array, metric: str) -> Metric:
    """Return a metric by its name; raises UsageError: rows with such a truth do not have it."""
    chosen: Metric = task.kind.metrics[metric]
    if not chosen.fits(truth):
        known = ", ".join(measured(task, truth)) or "none"
        raise UsageError(
            f"rows with this kind of labels have no {metric}",
            where="--metric",
            hint=f"one of {known}",
            code="usage.metric-unknown",
        )
    return chosen


def value_of(metric: Metric, task: Task, compared: Array, truth: Array) -> float:
    """Return a metric of what it compares, as :meth:`edgeroberta.tasks.Metric.compared` gives it."""
    if metric.ranked:
        compared, truth = ranks(compared), ranks(truth)
    return float(metric.value(metric.statistics(compared, truth, task).sum(axis=0)))


def measured(task: Task, truth: Array) -> tuple[str, ...]:
    """Return the metrics that answers to these rows can be judged by, the task's own or usual one first."""
    fitting = [name for name, each in task.metrics.items() if each.fits(truth)]
    return tuple(sorted(fitting, key=lambda name: (name != task.metric, name != task.kind.default_metric)))


def all_metrics(task: Task, outputs: Given, labels: Any) -> dict[str, float]:
    """Return all metrics of the task's kind by name, and what else is worth telling.

    ``outputs``: of n texts. ``labels``: those of n rows. Returns the one that the task is judged by first:
    for one label per text ``accuracy``, ``macro_f1``, ``matthews``, and ``f1`` of the second where there are
    two labels; for several ``micro_f1``, ``macro_f1`` and ``subset_accuracy`` (all labels of a row right);
    for a value ``pearson``, ``spearman`` and ``rmse`` (in the label's unit); for the entities of tokens see
    :mod:`edgeroberta.tasks.tokens`. Macro F1 is the mean over the labels that occur in the rows or in the
    predictions.
    """
    checked(task, outputs, len(labels))
    answers, truth = task.decide(outputs), task.truth(labels)
    found = {name: of_answers(task, answers, truth, name) for name in measured(task, truth)}
    return found | task.kind.details(task, answers, truth)


def checked(task: Task, given: Given, rows: int) -> Outputs:
    """Refuse outputs that cannot be scored: of no texts, not L numbers per unit, or not finite."""
    outputs = as_outputs(given)
    if rows == 0:
        raise EdgeRobertaError("there are no rows to measure on")
    if not fits(task, outputs, rows):
        raise EdgeRobertaError(
            f"the model gave logits of shape {outputs.values.shape} for {len(outputs)} texts, where there "
            f"are {rows} rows and {task.num_outputs} outputs"
        )
    if len(broken := outputs.broken()):
        raise EdgeRobertaError(f"the model's logits are not finite, first for row {broken[0] + 1}")
    return outputs


def fits(task: Task, outputs: Outputs, rows: int) -> bool:
    """Tell whether outputs are of so many texts, L numbers for each text or each token as the task has it.

    Of masks, there may be two more, where a certain token was asked for.
    """
    widths = [task.num_outputs, *([task.num_outputs + 2] if task.kind.unit is Unit.MASK else [])]
    whole = len(outputs) == rows and outputs.values.shape[1:] in [(width,) for width in widths]
    if not whole or task.kind.unit is not Unit.TEXT:
        return whole
    if task.apart:
        return outputs.places is None and bool(np.isin(outputs.lengths, (1, 2)).all())
    return outputs.per_text


def calibration_error(task: Task, outputs: Given, labels: Array, *, bins: int = 15) -> float | None:
    """Return how far probabilities are from the frequencies that they promise.

    The expected calibration error of Guo et al. (On Calibration of Modern Neural Networks, ICML 2017) over
    bins of equal width: the mean gap between probability and frequency in a bin, weighted by its rows. Of one
    label per text it takes the probability of the answer and how often answers are right; of several, the
    probability of each label and how often it applies, and the mean over the labels. ``outputs``: of n
    texts. ``labels``: int[n] or float[n, L], by problem. Returns 0 … 1; None for a regression, which has no
    probabilities, and for tokens.
    """
    logits = checked(task, outputs, len(labels)).values
    if task.problem not in (Problem.SINGLE_LABEL, Problem.MULTI_LABEL):
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
    gaps = np.bincount(which_bin(probabilities, bins), weights=happened - probabilities, minlength=bins)
    return float(np.abs(gaps).sum() / len(probabilities))


def which_bin(probabilities: Floats, bins: int) -> npt.NDArray[np.int64]:
    """Return each probability's bin; bin m holds those in (m / bins, (m + 1) / bins], as in the paper."""
    return np.clip(np.ceil(probabilities * bins).astype(np.int64) - 1, 0, bins - 1)
