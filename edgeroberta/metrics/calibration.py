"""How far probabilities are from the frequencies that they promise."""

from __future__ import annotations

import numpy as np

from edgeroberta.metrics.scores import Array, Floats, check
from edgeroberta.tasks import Problem, Task


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
