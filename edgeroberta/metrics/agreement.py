"""On which rows two models say the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics.scores import Array, Floats, check
from edgeroberta.tasks import Problem, Task

#: Two regression values agree when they differ by at most this part of the reference's standard
#: deviation: what Cohen calls a small effect (Statistical Power Analysis, 1988, chapter 2).
TOLERANCE = 0.2
#: And where the reference says the same everywhere, by at most this part of what it says.
RELATIVE_TOLERANCE = 0.05

#: Standard deviations of a normal distribution between its quartiles, and between its outer deciles.
_SPANS = ((25, 75, 1.349), (10, 90, 2.563))


def agrees(task: Task, reference: Array, other: Array) -> npt.NDArray[np.bool_]:
    """Tell on which rows two models say the same.

    ``reference``: float[n, L] logits of the reference. ``other``: float[n, L] logits of the other model.
    Returns bool[n]. One label per text: the same label. Several: the same set of labels. Regression: the
    values differ by at most :func:`tolerance`.
    """
    check(task, reference, len(reference))
    check(task, other, len(reference))
    a, b = task.decide(reference), task.decide(other)
    if task.problem is Problem.REGRESSION:
        same: Any = np.abs(a.astype(np.float64) - b) <= tolerance(a)
    elif task.problem is Problem.MULTI_LABEL:
        same = (a == b).all(axis=1)
    else:
        same = a == b
    return np.asarray(same, dtype=bool)


def agreement(task: Task, reference: Array, other: Array) -> float:
    """Return the share of rows on which two models say the same; see :func:`agrees`."""
    return float(np.mean(agrees(task, reference, other)))


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
