"""Chooses, for one matmul, the range and the smoothing with the least measured output error.

Two steps. A closed-form estimate ranks all candidates: rounding errors of different channels are
nearly independent, so the output error is the sum over channels of the input's error times the
weight row's energy, plus the weight's error times the input's energy. The best few are then
measured: the int8 product against the float product on the sampled rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeroberta.quantization.calibrate import TensorStatistics
from edgeroberta.quantization.int16_saturation import quantize_safely
from edgeroberta.roberta.quantized import (
    ActivationRange,
    Float,
    FloatChannels,
    MatMulPlan,
    RowQuantized,
    quantize_weight,
)

#: Exponents of SmoothQuant to try; None is no smoothing.
SMOOTHING = (None, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
#: Fractions of the largest magnitude to clip at. Ranges grow by about 1.25 a step, which is finer
#: than the error's flat minimum; 0.02 reaches the bulk behind outliers fifty times its size.
CLIPS = (1.0, 0.8, 0.64, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.12, 0.09, 0.06, 0.04, 0.02)
#: Rows the estimate looks at: enough to rank by, while the best are measured on all of them.
ESTIMATED_ROWS = 128
#: Candidates that get measured with a real product.
MEASURED = 4
#: Rows that a decoder is measured on, whose outputs are as many as tokens: 64 x 250,002 floats are 64 MB.
TIED_ROWS = 64
#: Channels that stay float cost a small matmul and a sum, so they must bring at least this much.
OUTLIER_GAIN = 0.7
#: Smoothing costs an elementwise multiplication, so it must bring at least this much.
SMOOTHING_GAIN = 0.85

#: Rounds weights float32 [inputs, outputs] to int8 of the same shape and scales float32 [outputs].
Rounding = Callable[[Float], tuple[NDArray[np.int8], Float]]


@dataclass(frozen=True)
class ScaleCandidate:
    """One way to quantize a matmul's input."""

    alpha: float | None  # SmoothQuant exponent, or None
    clip: float  # fraction of the largest magnitude that the range covers
    signed: bool  # int8 with zero point 0, or uint8 with a zero point


@dataclass(frozen=True)
class CalibrationResult:
    """The winner for one matmul."""

    candidate: ScaleCandidate  # what was chosen
    plan: MatMulPlan  # its int8 form
    error: float  # measured output error, squared norm relative to the float output (0 is exact)
    plain_error: float  # the same for plain min-max without smoothing, for the report
    seen: int  # token rows calibration saw
    free_error: float  # the error with weights that may saturate; equal to ``error`` unless they may not
    bits: float = 8.0  # bits per weight, under 8 where wider steps keep pairs from saturating
    learned: bool = False  # whether the plan's numbers were trained since; errors are from before

    def describe(self) -> str:
        """Name the form in a few words, e.g. ``uint8, smoothing 0.7, clip 0.8``."""
        parts = ["int8" if self.candidate.signed else "uint8"]
        if self.candidate.alpha is not None:
            parts.append(f"smoothing {self.candidate.alpha:g}")
        if self.candidate.clip < 1:
            parts.append(f"clip {self.candidate.clip:g}")
        if self.bits < 7.95:
            parts.append(f"{self.bits:.1f} bits")
        if self.plan.outliers is not None:
            parts.append(f"{len(self.plan.outliers.channels)} channels float")
        if self.learned:
            parts.append("learned")
        return ", ".join(parts)

    def reason(self) -> str:
        """Say why it won: its error beside that of plain min-max int8."""
        gain = self.plain_error / max(self.error, 1e-30)
        reason = f"output error {gain:.1f}x smaller than min-max, over {self.seen} tokens"
        if gain < 1.05:
            reason = "plain min-max is as good as anything tried"
        if self.bits < 7.95:
            reason += "; pairs would saturate int16 without VNNI at 8 bits"
        return reason


def select_scales(
    weight: Float,
    bias: Float,
    statistics: TensorStatistics,
    *,
    symmetric: bool,
    avoid_saturation: bool = False,
    outlier_channels: int = 0,
) -> CalibrationResult:
    """Choose how to quantize one matmul.

    ``weight``: float32 [inputs, outputs]. ``bias``: float32 [outputs]. ``symmetric``: allow only int8 with
    zero point 0, as TensorRT demands. ``avoid_saturation``: use only weights whose pairs cannot saturate an
    int16. ``outlier_channels``: how many of the input's largest channels may stay float.
    """
    exact = statistics.rows @ weight
    select = partial(_select, bias=bias, output=exact, symmetric=symmetric, avoid_saturation=avoid_saturation)
    whole = select(weight, statistics)
    if not 0 < outlier_channels < len(weight):
        return whole
    channels, rest = _without_outliers(statistics, outlier_channels)
    left = weight.copy()
    left[channels] = 0
    apart = select(left, rest)
    if apart.error > OUTLIER_GAIN * whole.error:
        return whole
    plan = replace(apart.plan, outliers=FloatChannels(channels, weight[channels]))
    return replace(apart, plan=plan, plain_error=whole.plain_error)


def _without_outliers(statistics: TensorStatistics, count: int) -> tuple[NDArray[np.int64], TensorStatistics]:
    """Return the channels that reach furthest, int64 [count], and what was seen with zeros for them."""
    reach = np.maximum(np.abs(statistics.low), np.abs(statistics.high))
    channels = np.sort(np.argsort(-reach, kind="stable")[:count]).astype(np.int64)
    low, high, rows = (each.copy() for each in (statistics.low, statistics.high, statistics.rows))
    low[channels], high[channels], rows[:, channels] = 0, 0, 0
    return channels, replace(statistics, low=low, high=high, rows=rows)


def _select(
    weight: Float,
    statistics: TensorStatistics,
    *,
    bias: Float,
    output: Float,
    symmetric: bool,
    avoid_saturation: bool,
) -> CalibrationResult:
    """Choose range and smoothing of a matmul whose channels are all int8.

    ``output``: what errors are relative to, float32 [tokens, outputs]: the product, with that of channels
    that are left out here.
    """
    signs = (True,) if symmetric else (True, False)
    rounding: Rounding = quantize_safely if avoid_saturation else quantize_weight
    plain = ScaleCandidate(None, 1.0, True)
    measured: dict[ScaleCandidate, tuple[float, MatMulPlan]] = {}
    for candidate in [plain, *_shortlist(weight, statistics, signs, rounding)]:
        if candidate not in measured:
            measured[candidate] = _measure(candidate, weight, bias, statistics, output, rounding)
    best = min(measured, key=lambda c: measured[c][0] / (1.0 if c.alpha is None else SMOOTHING_GAIN))
    error, plan = measured[best]
    free, bits = error, 8.0
    if avoid_saturation:
        free, unbound = _measure(best, weight, bias, statistics, output, quantize_weight)
        bits -= float(np.log2(plan.weight_scale / unbound.weight_scale).mean())
    return CalibrationResult(best, plan, error, measured[plain][0], statistics.count, free, bits)


def select_tied_scales(
    rows: RowQuantized, words: Float, bias: Float, statistics: TensorStatistics, *, symmetric: bool
) -> CalibrationResult:
    """Choose how to quantize the input of a decoder whose weights are the word embeddings, and int8 already.

    The embeddings are read elsewhere, too, so nothing can be multiplied into them: there is no smoothing.
    ``rows``: the table in int8. ``words``: the table, float32 [vocabulary, inputs]. ``bias``: float32
    [vocabulary]. ``symmetric``: as of :func:`select_scales`.
    """
    some = statistics.rows[:: max(1, len(statistics.rows) // TIED_ROWS)]
    exact = some @ words.T
    weight, scale = rows.values.T.astype(np.float32), rows.scale[:, 0]

    def measure(candidate: ScaleCandidate) -> tuple[float, MatMulPlan]:
        grid = dict(_grids(None, None, statistics, (candidate.signed,)))[candidate]
        difference = exact - (grid.fake_quantize(some) @ weight) * scale
        shift = difference.mean(axis=0)
        plan = MatMulPlan(grid, None, rows.values.T, scale, bias + shift)
        return _relative_error(difference - shift, exact), plan

    plain = ScaleCandidate(None, 1.0, True)
    energy = np.square(words).sum(axis=0)
    estimates = [
        (float(np.square(grid.fake_quantize(some) - some).mean(axis=0) @ energy), candidate)
        for candidate, grid in _grids(None, None, statistics, (True,) if symmetric else (True, False))
    ]
    best = [candidate for _, candidate in sorted(estimates, key=lambda pair: pair[0])[:MEASURED]]
    measured = {candidate: measure(candidate) for candidate in dict.fromkeys([plain, *best])}
    chosen = min(measured, key=lambda candidate: measured[candidate][0])
    error, plan = measured[chosen]
    return CalibrationResult(chosen, plan, error, measured[plain][0], statistics.count, error)


def _shortlist(
    weight: Float, statistics: TensorStatistics, signs: Sequence[bool], rounding: Rounding
) -> list[ScaleCandidate]:
    """Rank all candidates by the closed-form estimate; keep the best, some of them unsmoothed."""
    estimates: list[tuple[float, ScaleCandidate]] = []
    some = statistics.rows[:: max(1, len(statistics.rows) // ESTIMATED_ROWS)]
    for alpha in SMOOTHING:
        factors = smoothing_factors(weight, statistics, alpha)
        rows = some if factors is None else some / factors
        scaled = weight if factors is None else weight * factors[:, None]
        quantized, scale = rounding(scaled)
        weight_error = (
            np.square(quantized * scale - scaled).sum(axis=1) * np.square(rows).mean(axis=0)
        ).sum()
        energy = np.square(scaled).sum(axis=1)
        for candidate, grid in _grids(alpha, factors, statistics, signs):
            input_error = np.square(grid.fake_quantize(rows) - rows).mean(axis=0) @ energy
            estimates.append((float(input_error + weight_error), candidate))
    estimates.sort(key=lambda pair: pair[0])
    plain = [candidate for _, candidate in estimates if candidate.alpha is None]
    smooth = [candidate for _, candidate in estimates if candidate.alpha is not None]
    return plain[: MEASURED // 2] + smooth[: MEASURED // 2]


def smoothing_factors(weight: Float, statistics: TensorStatistics, alpha: float | None) -> Float | None:
    """Return SmoothQuant's factors, float32 [inputs]: max|x|^α / max|w|^(1-α), mean 1 in the log."""
    if alpha is None:
        return None
    tiny = np.float32(1e-5)
    reach = np.maximum(np.maximum(np.abs(statistics.low), np.abs(statistics.high)), tiny)
    factors = reach**alpha / np.maximum(np.abs(weight).max(axis=1), tiny) ** (1 - alpha)
    factors = np.exp(np.log(factors) - np.log(factors).mean())
    return np.clip(factors, 1e-3, 1e3).astype(np.float32)


def _grids(
    alpha: float | None, factors: Float | None, statistics: TensorStatistics, signs: Sequence[bool]
) -> Iterator[tuple[ScaleCandidate, ActivationRange]]:
    divisor = np.float32(1) if factors is None else factors
    low, high = float((statistics.low / divisor).min()), float((statistics.high / divisor).max())
    reach = max(abs(low), abs(high))
    for signed in signs:
        for clip in CLIPS:
            bounds = max(low, -reach * clip), min(high, reach * clip)
            yield ScaleCandidate(alpha, clip, signed), ActivationRange.over(*bounds, signed=signed)


def _measure(
    candidate: ScaleCandidate,
    weight: Float,
    bias: Float,
    statistics: TensorStatistics,
    output: Float,
    rounding: Rounding,
) -> tuple[float, MatMulPlan]:
    factors = smoothing_factors(weight, statistics, candidate.alpha)
    grids = dict(_grids(candidate.alpha, factors, statistics, (candidate.signed,)))
    grid = grids[candidate]
    rows = statistics.rows if factors is None else statistics.rows / factors
    quantized, scale = rounding(weight if factors is None else weight * factors[:, None])
    exact = statistics.rows @ weight
    difference = exact - (grid.fake_quantize(rows) @ quantized.astype(np.float32)) * scale
    # A constant error per output is free to repair in the bias (Nagel et al., arXiv:1906.04721).
    shift = difference.mean(axis=0)
    plan = MatMulPlan(grid, factors, quantized, scale, bias + shift)
    return _relative_error(difference - shift, output), plan


def _relative_error(difference: Float, exact: Float) -> float:
    """Squared error relative to the output, tokens weighted by the inverse of their norm.

    A layer norm follows, so a token with a huge output (RoBERTa's ``<s>`` in some layers) forgives a
    large error: unweighted, it alone decides; weighted by the squared norm, near-zero tokens do.
    Between the two agreed best with the logits' error (three calibration draws on SST-2).
    """
    norms = np.sqrt(np.square(exact - exact.mean(axis=0)).sum(axis=1))
    weights = 1 / np.maximum(norms, np.finfo(np.float32).tiny)
    total = float(weights @ np.square(exact).sum(axis=1))
    return float(weights @ np.square(difference).sum(axis=1)) / max(total, 1e-30)
