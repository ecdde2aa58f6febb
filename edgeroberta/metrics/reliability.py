"""How sure a model is beside how often it is right: what a reliability diagram draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeroberta.metrics.scores import Array, Floats, Given, checked, which_bin
from edgeroberta.tasks import Calibration, Outputs, Problem, Task

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of equal width by the probability that the model gave them; an empty bin has None."""

    counts: tuple[int, ...]  # how many answers are in each bin
    confidence: tuple[float | None, ...]  # mean probability of each bin's
    accuracy: tuple[float | None, ...]  # share of them that is right
    error: float  # expected calibration error over these bins


def reliability(task: Task, outputs: Given, labels: Any, *, bins: int = BINS) -> Reliability | None:
    """Return how often answers are right by how sure the model is of them.

    An answer is that to a text as a whole; where several labels may apply, what is said of each label.
    ``outputs``: of n texts. ``labels``: those of n rows. Returns None where there are no probabilities: of
    numbers, of answers to questions, of embeddings.
    """
    given = checked(task, outputs, len(labels))
    kind, truth = task.kind, task.truth(labels)
    if task.problem is Problem.MULTI_LABEL:
        # The same as 1 / (1 + exp(-x)), without its overflow.
        sure = 0.5 * (1 + np.tanh(0.5 * given.values.astype(np.float64)))
        return binned(sure.ravel(), truth.ravel(), bins)
    found = _probability(task, given)
    return None if found is None else binned(found, kind.agrees(task, truth, task.decide(given)), bins)


def _probability(task: Task, given: Outputs) -> Floats | None:
    """Return the probability of each text's answer as a whole."""
    if task.problem is Problem.MASKED:  # among all tokens, not among those that are told
        found = np.ones(len(given))
        np.minimum.at(found, given.texts, np.exp(given.values[:, 0].astype(np.float64)))
        return found
    if task.problem in (Problem.SINGLE_LABEL, Problem.TOKENS):
        return task.kind.confidence(task, given, Calibration())
    return None


def binned(probabilities: Floats, right: Array, bins: int) -> Reliability:
    """Put float64[n] probabilities into bins, beside what bool[n] tells to have come true."""
    which = which_bin(probabilities, bins)
    counts = np.bincount(which, minlength=bins)
    sums = (np.bincount(which, weights=each, minlength=bins) for each in (probabilities, right))
    sure, share = (
        tuple(
            round(float(part / count), 4) if count else None for part, count in zip(sum_, counts, strict=True)
        )
        for sum_ in sums
    )
    gaps = np.bincount(which, weights=right - probabilities, minlength=bins)
    error = float(np.abs(gaps).sum() / max(len(probabilities), 1))
    return Reliability(tuple(map(int, counts)), sure, share, error)
