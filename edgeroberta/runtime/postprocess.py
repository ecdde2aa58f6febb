"""Logits to what users read: a label with its probability, several labels, or a number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import EngineError
from edgeroberta.tasks import Problem, Task


@dataclass(frozen=True)
class Prediction:
    """The answer for one text or pair.

    Attributes:
        label: The most probable label; None for a regression, and where no label of several applies.
        score: Probability of the most probable label (softmax, or sigmoid where several labels can
            apply), or the value of a regression.
        scores: The same for every label, in the order of the logits.
        labels: All labels that apply: the one label, those above one half, or none for a regression.
        truncated: True when the text was longer than the model takes and its end was not read.
    """

    label: str | None
    score: float
    scores: Mapping[str, float]
    labels: tuple[str, ...]
    truncated: bool


def interpret(task: Task, logits: npt.NDArray[np.float32], *, truncated: bool) -> Prediction:
    """Read one row of logits, float32 [labels]; EngineError where one is NaN or infinite."""
    # Plain floats: for a handful of labels numpy's call overhead is several times the arithmetic.
    values = logits.tolist()
    if not all(map(math.isfinite, values)):
        raise EngineError(
            f"the engine answered with a number that is not finite: {values}",
            hint="edgeroberta doctor",
        )
    if task.problem is Problem.REGRESSION:
        return Prediction(None, values[0], {task.labels[0]: values[0]}, (), truncated)
    if task.problem is Problem.MULTI_LABEL:
        scores = {label: _sigmoid(value) for label, value in zip(task.labels, values, strict=True)}
        labels = tuple(label for label, value in zip(task.labels, values, strict=True) if value > 0)
        best = max(scores, key=scores.__getitem__)
        return Prediction(best if labels else None, scores[best], scores, labels, truncated)
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    total = sum(powers)
    scores = {label: power / total for label, power in zip(task.labels, powers, strict=True)}
    best = task.labels[values.index(top)]
    return Prediction(best, scores[best], scores, (best,), truncated)


def _sigmoid(value: float) -> float:
    # The two forms are equal; each avoids the overflow of exp on its side.
    if value >= 0:
        return 1 / (1 + math.exp(-value))
    power = math.exp(value)
    return power / (1 + power)
