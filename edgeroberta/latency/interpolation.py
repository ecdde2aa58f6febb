"""Arithmetic of tables: interpolation, and the nearest table that does not fall."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def interpolate(points: Sequence[int], values: Floats, at: float) -> Floats:
    """Interpolate float64 [points, …] linearly at ``at``; left of the first point is the first value."""
    right = min(bisect_right(points, at), len(points) - 1)
    left = max(right - 1, 0)
    span = points[right] - points[left]
    part = min(max((at - points[left]) / span, 0.0), 1.0) if span else 0.0
    found: Floats = values[left] * (1 - part) + values[right] * part
    return found


def monotone_fit(values: Floats) -> Floats:
    """Return the nearest values (least squares) that fall along no axis.

    Isotonic regression along one axis after the other, by pooling adjacent violators (Barlow et al.,
    "Statistical Inference under Order Restrictions", 1972). It keeps the order of rows that are ordered
    element by element, so that a later axis does not undo an earlier one. ``values``: float64 of any shape.
    Returns float64 of the same shape.
    """
    for axis in range(values.ndim):
        values = np.apply_along_axis(_pooled, axis, values)
    return values


def _pooled(row: Floats) -> Floats:
    means: list[float] = []
    counts: list[int] = []
    for value in row:
        means.append(float(value))
        counts.append(1)
        while len(means) > 1 and means[-2] > means[-1]:
            mean, count = means.pop(), counts.pop()
            means[-1] = (means[-1] * counts[-1] + mean * count) / (counts[-1] + count)
            counts[-1] += count
    return np.repeat(means, counts)
