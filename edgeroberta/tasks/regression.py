"""Texts as a whole: a number for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.tasks import statistics
from edgeroberta.tasks.classification import Prediction, WholeText
from edgeroberta.tasks.confidence import Calibration
from edgeroberta.tasks.kind import Array, Floats, Labelled, Metric
from edgeroberta.tasks.outputs import Outputs

#: Two regression values agree when they differ by at most this part of the reference's standard
#: deviation: what Cohen calls a small effect (Statistical Power Analysis, 1988, chapter 2).
TOLERANCE = 0.2
#: And where the reference says the same everywhere, by at most this part of what it says.
RELATIVE_TOLERANCE = 0.05
#: Standard deviations of a normal distribution between its quartiles, and between its outer deciles.
_SPANS = ((25, 75, 1.349), (10, 90, 2.563))


class Regression(WholeText):
    """A number; answers are float32[n]."""

    default_metric = "pearson"

    def __init__(self) -> None:
        self.metrics: Mapping[str, Metric] = {
            "pearson": Metric(_moments, statistics.pearson, correlation=True),
            "spearman": Metric(_moments, statistics.pearson, ranked=True, correlation=True),
        }

    def decide(self, task: Labelled, outputs: Outputs) -> Array:
        """Return the values."""
        return outputs.values[:, 0].astype(np.float32)

    def agrees(self, task: Labelled, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
        """Tell where values differ by at most ``task.tolerance``, or else by :func:`tolerance`."""
        most = tolerance(reference) if task.tolerance is None else task.tolerance
        return np.asarray(np.abs(reference.astype(np.float64) - other) <= most)

    def lost(self, task: Labelled, good: Array, truth: Array) -> tuple[Array, Array, Array]:
        """Take the mean in place of the prediction."""
        return good, np.full(len(good), np.mean(good, dtype=np.float64)), truth

    def details(self, task: Labelled, answers: Array, truth: Array) -> dict[str, float]:
        """Return the root of the mean squared error, in the label's unit."""
        return {"rmse": float(np.sqrt(np.mean((answers.astype(np.float64) - truth) ** 2)))}

    def numbers(self, task: Labelled, answers: Array, truth: Array) -> tuple[str, Floats]:
        """Return the values."""
        return "value", answers.astype(np.float64)

    def indicators(self, task: Labelled, answers: Array, truth: Array) -> tuple[Floats, Floats]:
        """Return ranks."""
        return statistics.ranks(answers)[:, None], statistics.ranks(truth)[:, None]

    def sureness(self, task: Labelled, full: Outputs, compressed: Outputs) -> Floats:
        """Return how far the values are apart."""
        return np.abs(full.values - compressed.values)[:, 0]

    def confidence(self, task: Labelled, outputs: Outputs, calibration: Calibration) -> Floats | None:
        """Return by how much values like these are off, negative, or nothing where that is not known."""
        if not calibration.values:
            return None
        return -np.interp(outputs.values[:, 0], calibration.values, calibration.spreads)

    def _sure(self, row: list[float], calibration: Calibration) -> float:
        if not calibration.values:
            raise ValueError("how far numbers are off was not measured")
        return -calibration.spread(row[0])

    def named(self, task: Labelled, answer: Any, text: Any = None) -> str:
        """Return the value with three digits."""
        return f"{float(answer):.3g}"

    def _predicted(self, task: Labelled, row: list[float], truncated: bool) -> Prediction:
        return Prediction(None, row[0], {task.labels[0]: row[0]}, (), truncated)


def tolerance(values: Array | Floats) -> float:
    """Return by how much values may differ from a reference's and still count as the same.

    A fifth of the reference's standard deviation, read from its quartiles, which no few outliers move
    (Rousseeuw and Croux, Alternatives to the Median Absolute Deviation, 1993, on such scales). Where more
    than half of the values are equal, it is read from the outer deciles; and where these are equal, too, it
    is 5 % of the median, or 0.05 where that is zero. ``values``: float[n], what the reference says.
    """
    values = np.asarray(values, dtype=np.float64)
    middle = abs(float(np.median(values)))
    for low, high, deviations in _SPANS:
        first, last = np.percentile(values, (low, high))
        # What float32 cannot tell apart is equal.
        if last - first > 1e-6 * middle:
            return float(TOLERANCE * (last - first) / deviations)
    return RELATIVE_TOLERANCE * (middle or 1.0)


def _moments(said: Array, truth: Array, _: Labelled) -> Floats:
    return statistics.moments(said, truth)
