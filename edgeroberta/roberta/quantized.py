"""What the quantizer decided: the numbers a graph writer needs to write a matmul in int8.

Scheme: weights are symmetric int8 per output channel; activations are static, per tensor, int8
with zero point 0 or uint8 with a zero point; biases stay float32 (Jacob et al., arXiv:1712.05877).
Smoothing divides the activation by one factor per input channel and multiplies the weight's rows
by it (SmoothQuant, arXiv:2211.10438).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]

#: Smallest step of a grid. Far below any activation or weight that matters, and far above float32's
#: subnormals, which engines flush to zero and then divide by.
SMALLEST_STEP = np.float32(1e-12)


@dataclass(frozen=True)
class ActivationRange:
    """Static quantization of one activation tensor: ``q = round(x / scale) + zero_point``."""

    scale: float  # step of the integer grid, in the activation's units
    zero_point: int  # integer that stands for 0.0; always 0 when signed
    signed: bool  # int8 when True, uint8 otherwise

    @property
    def dtype(self) -> type[np.signedinteger | np.unsignedinteger]:
        """Integer type of the quantized tensor."""
        return np.int8 if self.signed else np.uint8

    @classmethod
    def over(cls, low: float, high: float, *, signed: bool) -> ActivationRange:
        """Make the grid that covers ``[low, high]`` and contains 0.0 exactly."""
        if signed:
            return cls(max(abs(low), abs(high), 127 * float(SMALLEST_STEP)) / 127, 0, True)
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max(high - low, 255 * float(SMALLEST_STEP)) / 255
        return cls(scale, int(np.clip(round(-low / scale), 0, 255)), False)

    def fake_quantize(self, x: Float) -> Float:
        """Round ``x`` (any shape) to the grid and return float32 again, in a new array."""
        info = np.iinfo(self.dtype)
        q = np.rint(x * np.float32(1 / self.scale))
        np.clip(q, info.min - self.zero_point, info.max - self.zero_point, out=q)
        q *= np.float32(self.scale)
        return q


@dataclass(frozen=True)
class FloatChannels:
    """Channels that stay float in a matmul that is int8 otherwise (Dettmers et al., arXiv:2208.07339)."""

    channels: NDArray[np.int64]  # int64 [k], rising
    weight: Float  # float32 [k, outputs], their rows; zeros stand for them in the int8 weight


@dataclass(frozen=True)
class MatMulPlan:
    """One matmul in int8."""

    activation: ActivationRange  # grid of the (smoothed) input
    smoothing: Float | None  # float32 [inputs] the input is divided by; None for no smoothing
    weight: NDArray[np.int8]  # int8 [inputs, outputs], smoothing multiplied in
    weight_scale: Float  # float32 [outputs]
    bias: Float  # float32 [outputs], with the mean quantization error taken out
    outliers: FloatChannels | None = None  # channels far larger than the rest; None where all are int8


#: Grid of the attention probabilities: they lie in 0 … 1, and int8 without a zero point has 127 steps.
PROBABILITIES = ActivationRange(1 / 127, 0, True)


@dataclass(frozen=True)
class AttentionPlan:
    """The two matmuls of one attention in int8, all inputs symmetric."""

    query: ActivationRange  # grid of the query, scaled by 1/sqrt(d)
    key: ActivationRange  # grid of the key
    value: ActivationRange  # grid of the value
    probabilities: ActivationRange = PROBABILITIES  # grid of softmax's result


@dataclass(frozen=True)
class RowQuantized:
    """An embedding table as int8 rows: ``row ≈ values[i] * scale[i]``; scale is float32 [rows, 1]."""

    values: NDArray[np.int8]
    scale: Float


@dataclass(frozen=True)
class ColumnQuantized:
    """The position table in int8: ``table ≈ values * scale``; int8 [rows, width], float32 [width].

    Per column, since a few columns are much larger than the rest in all rows: scales per row lose 140 times
    as much (error energy 1.4e-3 of the table's instead of 1.1e-5; the packaged encoder).
    """

    values: NDArray[np.int8]
    scale: Float


@dataclass(frozen=True)
class QuantizationPlan:
    """Everything that is int8 in a graph; a matmul that is absent stays float."""

    matmuls: Mapping[str, MatMulPlan]  # linear op to its int8 form
    word_embeddings: RowQuantized | None = None  # the word table in int8, or None to keep it float
    #: attention name to its int8 form; one that is absent stays float
    attentions: Mapping[str, AttentionPlan] = field(default_factory=dict)
    positions: ColumnQuantized | None = None  # the position table in int8, or None to keep it float


def quantize_weight(weight: Float) -> tuple[NDArray[np.int8], Float]:
    """Quantize float32 [inputs, outputs] to int8 (-127 … 127) with float32 scales [outputs]."""
    scale = np.maximum(np.abs(weight).max(axis=0) / np.float32(127), SMALLEST_STEP)
    quantized = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
    return quantized, scale.astype(np.float32)


def quantize_rows(table: Float) -> RowQuantized:
    """Quantize an embedding table float32 [rows, width] to int8 with one scale per row."""
    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True) / np.float32(127), SMALLEST_STEP)
    values = np.empty(table.shape, np.int8)
    for start in range(0, len(table), 8192):  # a slice at a time: XLM-R's table alone is 1 GB
        part = slice(start, start + 8192)
        values[part] = np.rint(table[part] / scale[part])
    return RowQuantized(values, scale.astype(np.float32))


def by_columns(values: NDArray[np.int8], scale: Float) -> RowQuantized:
    """Take a weight int8 [width, rows] with scales [rows] for a table of rows."""
    return RowQuantized(np.ascontiguousarray(values.T), scale[:, None])


def quantize_columns(table: Float) -> ColumnQuantized:
    """Quantize an embedding table float32 [rows, width] to int8 with one scale per column."""
    return ColumnQuantized(*quantize_weight(table))
