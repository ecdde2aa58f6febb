"""Makes of outputs a confidence that can be compared with a threshold: temperatures, and spreads of numbers.

A temperature is that of Guo et al. (On Calibration of Modern Neural Networks, ICML 2017): what logits are
divided by so that the likelihood of the labels is the greatest. Targets are smoothed as Platt has them
(Probabilistic Outputs for Support Vector Machines, 1999), so that there is a greatest one also where all rows
are right, and few rows say little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import Calibration, Outputs, Problem, Task

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: The least temperature, and the largest.
COLDEST, HOTTEST = 0.05, 20.0
#: Rows of a value's neighbourhood in which its spread is measured, and the most such neighbourhoods.
_ROWS_PER_SPREAD, _SPREADS = 50, 10
#: Rows at most that a temperature is searched for by, where every try reads all answers again.
_SEARCH_ROWS = 500
_BISECTIONS = 40
#: Temperatures that are tried of answers without a derivative, then finer ones about the best.
_TRIES = 9


def fit(task: Task, outputs: Outputs, last: Outputs, labels: Any = None) -> Calibration:
    """Fit what makes a confidence of a tier's outputs.

    One label per text, or several: the temperature at which labels are the likeliest. Tokens, spans and
    masks: the one at which a confidence is the likeliest to say how often the whole answer is the last
    tier's. A regression: how far its values are from the last tier's, by value.

    Args:
        task: What the outputs mean.
        outputs: The tier's on n rows that it was not trained on.
        last: The last tier's on the same rows.
        labels: Of these rows, see :class:`edgeroberta.data.rows.Rows`; None where there are none: then the
            last tier's answers count as right.
    """
    if task.problem is Problem.REGRESSION:
        return _spreads(outputs.values[:, 0], last.values[:, 0])
    if task.problem is Problem.SINGLE_LABEL:
        known = np.asarray(task.decide(last) if labels is None else labels, np.int64)
        return Calibration(_temperature(outputs.values, _one_of_many(known, outputs.values.shape[1])))
    if task.problem is Problem.MULTI_LABEL:
        applies = np.asarray(task.decide(last) if labels is None else labels) > 0.5
        return Calibration(_temperature(outputs.values, _each_alone(applies)))
    same = task.kind.agrees(task, task.decide(last), task.decide(outputs))
    return Calibration(_searched(task, outputs, same))


#: Of logits times the inverse of a temperature, float64 [n, L], the probabilities that they mean, and those
#: that are aimed at.
_Pair = tuple[Callable[[Floats], Floats], Floats]


def _one_of_many(known: npt.NDArray[np.int64], labels: int) -> _Pair:
    """Return how one of many labels is read, and its smoothed targets float64 [n, L]."""
    rest = 1 / (len(known) + 2)
    targets = np.full((len(known), labels), rest / max(labels - 1, 1))
    targets[np.arange(len(known)), known] = 1 - rest

    def softmax(scaled: Floats) -> Floats:
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    return softmax, targets


def _each_alone(known: npt.NDArray[np.bool_]) -> _Pair:
    """Return how labels are read of which each may apply, and their smoothed targets float64 [n, L]."""
    rest = 1 / (len(known) + 2)
    # The same as 1 / (1 + exp(-x)), without its overflow.
    return lambda scaled: np.asarray(0.5 * (1 + np.tanh(0.5 * scaled))), np.where(known, 1 - rest, rest)


def _temperature(logits: npt.NDArray[np.float32], pair: _Pair) -> float:
    """Find the temperature of the greatest likelihood.

    The likelihood is concave in the inverse of the temperature, and its slope there is the sum of logits
    weighted by targets less probabilities.
    """
    read, targets = pair
    values = logits.astype(np.float64)
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(_BISECTIONS):
        middle = (low * high) ** 0.5
        rising = float((values * (targets - read(values * middle))).sum()) > 0
        low, high = (middle, high) if rising else (low, middle)
    return float(1 / (low * high) ** 0.5)


def _searched(task: Task, outputs: Outputs, same: npt.NDArray[np.bool_]) -> float:
    """Find the temperature at which confidences are the likeliest to say where answers are the same."""
    if len(outputs) > _SEARCH_ROWS:
        rows = np.linspace(0, len(outputs) - 1, _SEARCH_ROWS).astype(np.int64)
        outputs, same = outputs[rows], same[rows]
    right = int(same.sum())
    targets = np.where(same, (right + 1) / (right + 2), 1 / (len(same) - right + 2))

    def loss(temperature: float) -> float:
        found = task.kind.confidence(task, outputs, Calibration(temperature))
        assert found is not None
        found = np.clip(found, 1e-6, 1 - 1e-6)
        return -float(np.mean(targets * np.log(found) + (1 - targets) * np.log(1 - found)))

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(2):
        tried = np.linspace(low, high, _TRIES)
        best = int(np.argmin([loss(float(np.exp(each))) for each in tried]))
        low, high = tried[max(best - 1, 0)], tried[min(best + 1, _TRIES - 1)]
    return float(np.exp(tried[best]))


def _spreads(values: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> Calibration:
    """Measure how far values are off, in neighbourhoods of as many rows each, by size."""
    order = np.argsort(values, kind="stable")
    found = values[order].astype(np.float64)
    squares = (found - known[order]) ** 2
    parts = np.array_split(np.arange(len(found)), np.clip(len(found) // _ROWS_PER_SPREAD, 1, _SPREADS))
    knots: list[tuple[float, float]] = []
    for part in parts:
        middle = float(found[part].mean())
        if not knots or middle > knots[-1][0]:  # neighbourhoods of one value are one
            knots.append((middle, float(np.sqrt(squares[part].mean()))))
    return Calibration(values=tuple(each for each, _ in knots), spreads=tuple(each for _, each in knots))
