"""Int16 saturation: int8 products on x86 processors without VNNI, and weights that cannot meet it.

Without VNNI the fast int8 kernels multiply with ``vpmaddubsw``: unsigned activations 0 … 255 by signed
weights, two neighbouring inputs at a time, and the sum of the two products is kept in an int16 that
saturates. 255 · (127 + 127) = 64,770 does not fit into 32,767, so strong neighbours of one sign give a
wrong product. Signed activations are shifted by 128 first and meet the same instruction.

Who computes so: ONNX Runtime's kernels for AVX2 and for AVX-512 without VNNI (``QgemmU8X8KernelAvx2.S``,
https://github.com/microsoft/onnxruntime/pull/12088; seen in 1.32.0 with a Haswell's instructions) and
oneDNN, which OpenVINO uses (https://oneapi-src.github.io/oneDNN/dev_guide_int8_computations.html; seen in
2026.4.1 limited to AVX2 and to AVX-512). Who does not: VNNI and AMX add four products in an int32, as ARM's
``sdot`` does; without that, ONNX Runtime on ARM adds pairs of int8 by int8 in an int16, which holds them,
2 · 127 · 128 = 32,512 (``QgemmS8S8KernelNeon.S``), and widens uint8 (``QgemmU8X8KernelNeon.S``). Attention's
matmuls of two activations are float on processors and not concerned.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeroberta.roberta.quantized import SMALLEST_STEP, Float, MatMulPlan

Int8 = NDArray[np.int8]

#: Largest sum of the weights of one sign in a pair that no activation can saturate:
#: 255 · 128 = 32,640 fits into an int16, 255 · 129 = 32,895 does not.
PAIR_LIMIT = 128
_LOWEST, _HIGHEST = np.iinfo(np.int16).min, np.iinfo(np.int16).max
#: Calibration rows that clipping is measured on; the share of clipped pairs varies little between rows.
MEASURED_ROWS = 64


@dataclass(frozen=True)
class SaturationRisk:
    """What saturation can do to one matmul, and what it does on the calibration rows."""

    pairs: int  # pairs of weights, over all outputs, that some activation can saturate
    columns: int  # outputs with such a pair
    outputs: int
    worst: int  # largest magnitude that a pair's sum can reach; more than 32,767 saturates
    clipped: float  # share of all pair sums of the calibration rows that saturate, 0 … 1
    error: float  # squared norm of what saturation changes, relative to the int8 output

    @property
    def safe(self) -> bool:
        """True when no activation can saturate."""
        return self.pairs == 0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {"safe": self.safe, **asdict(self)}


def pair_sums(weight: Int8) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Add up the positive and the negative weights of each pair of inputs (0, 1), (2, 3) and so on.

    ``weight``: int8 [inputs, outputs]; an odd last input is paired with a zero, as kernels pad it. Returns
    sums of the positive and of the negative parts, int32 [pairs, outputs] each.
    """
    pairs = _pairs(weight.astype(np.int32))
    return np.maximum(pairs, 0).sum(axis=1), np.minimum(pairs, 0).sum(axis=1)


def at_risk(weight: Int8) -> NDArray[np.bool_]:
    """Tell which pairs some activation 0 … 255 can saturate, bool [pairs, outputs]."""
    positive, negative = pair_sums(weight)
    return (255 * positive > _HIGHEST) | (255 * negative < _LOWEST)


def emulate_maddubs(activations: NDArray[np.uint8], weight: Int8) -> NDArray[np.int32]:
    """Multiply uint8 [rows, inputs] by int8 [inputs, outputs]; pairs saturate in int16."""
    rows = _pairs(activations.astype(np.int32).T)  # [pairs, 2, rows]
    total = np.zeros((activations.shape[0], weight.shape[1]), np.int32)
    for left, right in zip(rows, _pairs(weight.astype(np.int32)), strict=True):
        total += np.clip(left.T @ right, _LOWEST, _HIGHEST)
    return total


def examine(plan: MatMulPlan, rows: Float) -> SaturationRisk:
    """Look at one matmul's weights, and run calibration rows, float32 [rows, inputs], through its pairs."""
    positive, negative = pair_sums(plan.weight)
    risky = at_risk(plan.weight)
    worst = 255 * int(max(positive.max(initial=0), -negative.min(initial=0)))
    clipped, error = _measure(plan, rows[:MEASURED_ROWS], risky) if risky.any() else (0.0, 0.0)
    return SaturationRisk(
        pairs=int(risky.sum()),
        columns=int(risky.any(axis=0).sum()),
        outputs=risky.shape[1],
        worst=worst,
        clipped=clipped,
        error=error,
    )


def _measure(plan: MatMulPlan, rows: Float, risky: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the share of clipped pair sums and the error; only pairs at risk need to be looked at."""
    activations = unsigned(plan, rows).astype(np.float32)
    halves = _pairs(activations.T)  # [pairs, 2, rows]
    weights = _pairs(plan.weight.astype(np.float32))
    change = np.zeros((len(rows), plan.weight.shape[1]), np.float32)
    clipped = 0
    for pair in np.flatnonzero(risky.any(axis=1)):
        columns = np.flatnonzero(risky[pair])
        # Exact in float32: the sums stay below 2^24.
        sums = halves[pair].T @ weights[pair][:, columns]
        excess = np.clip(sums, _LOWEST, _HIGHEST) - sums
        clipped += int(np.count_nonzero(excess))
        change[:, columns] += excess
    zero = 128 if plan.activation.signed else plan.activation.zero_point
    exact = (activations - zero) @ plan.weight.astype(np.float32) * plan.weight_scale
    energy = float(np.square(exact).sum())
    error = float(np.square(change * plan.weight_scale).sum()) / max(energy, 1e-30)
    return clipped / (risky.size * max(len(rows), 1)), error


def unsigned(plan: MatMulPlan, rows: Float) -> NDArray[np.uint8]:
    """Quantize rows float32 [rows, inputs] to what the kernel sees: uint8, signed ones shifted by 128."""
    grid = plan.activation
    smoothed = rows if plan.smoothing is None else rows / plan.smoothing
    zero = 128 if grid.signed else grid.zero_point
    return np.clip(np.rint(smoothed / np.float32(grid.scale)) + zero, 0, 255).astype(np.uint8)


def quantize_safely(weight: Float) -> tuple[Int8, Float]:
    """Quantize like :func:`~edgeroberta.roberta.quantized.quantize_weight`, but so that nothing saturates.

    Each output's step grows only as far as its worst pair demands: by the factor 2 (7 bits) when the largest
    two weights are neighbours of one sign, by much less for most. ``weight``: float32 [inputs, outputs].
    Returns int8 [inputs, outputs] whose pairs keep :data:`PAIR_LIMIT`, and float32 scales [outputs].
    """
    pairs = _pairs(weight)
    reach = np.maximum(np.maximum(pairs, 0).sum(axis=1), np.maximum(-pairs, 0).sum(axis=1)).max(axis=0)
    plain = np.abs(weight).max(axis=0) / np.float32(127)
    scale = np.maximum(np.maximum(plain, reach / np.float32(PAIR_LIMIT)), SMALLEST_STEP)
    scale = scale.astype(np.float32)
    return round_safely(weight / scale), scale


def round_safely(steps: Float) -> Int8:
    """Round weights in steps, float32 [inputs, outputs], to int8 whose pairs keep :data:`PAIR_LIMIT`.

    Pairs that reach further unrounded are shrunk to it first, as clipping does to single weights.
    """
    exact = _pairs(steps)
    for sign in (1, -1):
        reach = np.maximum(sign * exact, 0).sum(axis=1, keepdims=True)
        # Where the limit is met but for rounding, as by a step that was chosen for it, nothing changes.
        far = reach > PAIR_LIMIT * np.float32(1 + 1e-5)
        exact = np.where(far & (sign * exact > 0), exact * (PAIR_LIMIT / np.maximum(reach, 1)), exact)
    values = np.clip(np.rint(exact), -127, 127)
    # Unrounded, a pair reaches 128 at most; rounding adds up to half a step to each of its two weights.
    # So it is over by one step at most, and the weight that was rounded away from zero the most gives it.
    for sign in (1, -1):
        over = np.maximum(sign * values, 0).sum(axis=1) > PAIR_LIMIT
        gained = np.where(sign * values > 0, sign * (values - exact), -np.inf)
        chosen = np.arange(2)[None, :, None] == gained.argmax(axis=1)[:, None]
        values -= sign * (chosen & over[:, None])
    flat: Int8 = values.reshape(-1, steps.shape[1])[: len(steps)].astype(np.int8)
    return flat


def _pairs(matrix: NDArray[Any]) -> NDArray[Any]:
    """Reshape [inputs, columns] to [pairs, 2, columns], an odd last input beside a zero."""
    if len(matrix) % 2:
        matrix = np.concatenate([matrix, np.zeros_like(matrix[:1])])
    return matrix.reshape(len(matrix) // 2, 2, -1)
