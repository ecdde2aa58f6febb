"""Chooses the int8 grids of an attention's two matmuls, query by key and shares by value.

Neither has weights, so there is nothing to smooth into. A grid is chosen by the error that rounding one
factor brings to the product: rounding errors of different channels are nearly independent, so it is
the sum over channels of the factor's error times the energy of what it is multiplied by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeroberta.quantization.calibrate import TensorStatistics
from edgeroberta.quantization.scales import CLIPS
from edgeroberta.roberta.quantized import PROBABILITIES, ActivationRange, AttentionPlan, Float


@dataclass(frozen=True)
class AttentionCalibration:
    """The grids of one attention."""

    plan: AttentionPlan  # its int8 form
    reader: str  # name of the matmul that reads the context; where it stays float, so does the attention
    #: fractions of the largest magnitude that the grids of query, key and value cover
    clips: tuple[float, float, float]
    error: float  # estimated squared error of the scores and of the context, each relative to its energy
    plain_error: float  # the same with grids that cover everything
    seen: int  # token rows calibration saw

    def describe(self) -> str:
        """Name the form in a few words, e.g. ``int8, clip q 0.8 k 1 v 0.64``."""
        query, key, value = self.clips
        return "int8" if min(self.clips) == 1 else f"int8, clip q {query:g} k {key:g} v {value:g}"

    def reason(self) -> str:
        """Say why: its error beside that of grids that cover everything."""
        gain = self.plain_error / max(self.error, 1e-30)
        if gain < 1.05:
            return "plain min-max is as good as anything tried"
        return f"error {gain:.1f}x smaller than min-max, over {self.seen} tokens"


def select_attention_scales(
    tensors: Sequence[TensorStatistics], *, reader: str, weight: Float, smoothing: Float | None
) -> AttentionCalibration:
    """Choose the grids of one attention.

    ``tensors``: what calibration saw of the scaled query, the key and the value, each of channels = heads *
    d; the value before smoothing. ``weight``: its float weights, float32 [channels, outputs]. ``smoothing``:
    float32 [channels] that the graph divides the value by, for that matmul; or None.
    """
    query, key, value = tensors
    energy = np.square(weight).sum(axis=1)
    ones = np.ones(len(weight), np.float32)
    q = _grid(query, ones, np.square(key.rows).mean(axis=0))
    k = _grid(key, ones, np.square(query.rows).mean(axis=0))
    divisor = ones if smoothing is None else smoothing
    v = _grid(value, divisor, energy * np.square(divisor))
    return AttentionCalibration(
        AttentionPlan(q.grid, k.grid, v.grid, PROBABILITIES),
        reader,
        (q.clip, k.clip, v.clip),
        q.error + k.error + v.error,
        q.plain_error + k.plain_error + v.plain_error,
        query.count,
    )


@dataclass(frozen=True)
class _Grid:
    grid: ActivationRange
    clip: float
    error: float
    plain_error: float


def _grid(statistics: TensorStatistics, divisor: Float, energy: Float) -> _Grid:
    """Try all clips on a tensor divided by ``divisor``; ``energy`` float32 [channels] weighs the errors."""
    rows = statistics.rows / divisor
    low, high = (statistics.low / divisor).min(), (statistics.high / divisor).max()
    reach = float(max(abs(low), abs(high)))
    total = max(float(np.square(rows).mean(axis=0) @ energy), 1e-30)
    errors = {}
    for clip in CLIPS:
        grid = ActivationRange.over(-reach * clip, reach * clip, signed=True)
        errors[clip] = float(np.square(grid.fake_quantize(rows) - rows).mean(axis=0) @ energy) / total
    best = min(errors, key=lambda clip: errors[clip])
    grid = ActivationRange.over(-reach * best, reach * best, signed=True)
    return _Grid(grid, best, errors[best], errors[1.0])
