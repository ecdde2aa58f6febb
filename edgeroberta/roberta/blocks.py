"""The parts that encoder graphs are made of: matmuls in float or int8, norms, activations, heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeroberta.roberta.arrays import Array, LayerNorm, Linear
from edgeroberta.roberta.onnx_builder import GraphBuilder
from edgeroberta.roberta.quantized import ActivationRange, FloatChannels, MatMulPlan, QuantizationPlan


@dataclass(frozen=True)
class LinearOp:
    """A matmul with weights, as the quantizer sees it."""

    name: str  # E.g. ``layer.0.ffn.in``.
    tensor: str  # name of its input tensor in the graph, float [..., inputs]
    linear: Linear  # its float weights
    tied: bool = False  # whether its weights are the transposed table of word embeddings
    separable: bool = False  # whether some of its input channels may stay float where the others are int8


@dataclass(frozen=True)
class Attention:
    """The two matmuls of an attention, as the quantizer sees them; they have no weights."""

    name: str  # E.g. ``layer.0.attention``.
    query: str  # name of the scaled query's tensor in the graph, float [batch, tokens, width]
    key: str
    value: str
    width: int  # heads times head size
    reader: str  # name of the matmul that reads what the attention gives

    @property
    def tensors(self) -> tuple[str, str, str]:
        """Query, key and value."""
        return (self.query, self.key, self.value)


class Blocks:
    """Writes parts, of a body in float32 or float16, into a graph; keeps its matmuls and attentions."""

    def __init__(self, graph: GraphBuilder, plan: QuantizationPlan, body: type[np.floating]) -> None:
        self.graph = graph
        self.plan = plan
        self.body = body
        self.linear_ops: list[LinearOp] = []
        self.attentions: list[Attention] = []
        self._written: set[str] = set()

    def linear(
        self,
        linear_op: str,
        x: str,
        linear: Linear,
        *,
        extra_bias: Array | None = None,
        smoothed: bool = False,
        separable: bool = False,
    ) -> str:
        """Write ``x @ weight + bias + extra_bias``, float32 [outputs], in int8 where the plan says so.

        ``separable``: as of :class:`LinearOp`.
        """
        product, bias = self.product(linear_op, x, linear, smoothed=smoothed, separable=separable)
        total = self.add_bias(linear_op, product, bias if extra_bias is None else bias + extra_bias)
        choice = self.plan.matmuls.get(linear_op)
        return total if choice is None else self.with_outliers(linear_op, x, total, choice)

    def with_outliers(self, linear_op: str, x: str, total: str, choice: MatMulPlan) -> str:
        """Add the product of the channels that stay float, if there are such, to an int8 matmul's total."""
        if choice.outliers is None:
            return total
        # After the bias, which engines make a part of the int8 matmul.
        apart = self._outliers(linear_op, x, choice.outliers)
        return self.graph.node("Add", (total, apart), f"{linear_op}.total")

    def whole_attention(
        self, linear_op: str, hidden: str, joint: Linear, divisor: Array, mask: str, heads: int
    ) -> tuple[str, Array] | None:
        """Write an attention as one operator where there is one; None where it is to be written in parts.

        ``joint``: the three projections beside each other, the query's scaled. ``divisor``: float32 [3 *
        width] that they are divided by. ``mask``: int64 [batch, length]. Returns the attention's result,
        float [batch, length, width], and the bias of the values, float32 [width], that is still to add.
        """
        return None

    def _outliers(self, linear_op: str, x: str, outliers: FloatChannels) -> str:
        """Write the product of the channels that stay float, [..., outputs]."""
        channels = self.graph.constant(f"{linear_op}.outliers", outliers.channels)
        picked = self.graph.node("Gather", (x, channels), f"{linear_op}.outliers.picked", axis=-1)
        weight = self.floats(f"{linear_op}.outliers.weight", outliers.weight)
        return self.graph.node("MatMul", (picked, weight), f"{linear_op}.outliers.matmul")

    def product(
        self,
        linear_op: str,
        x: str,
        linear: Linear,
        *,
        divisor: Array | None = None,
        smoothed: bool = False,
        separable: bool = False,
    ) -> tuple[str, Array]:
        """Write ``x @ weight / divisor``; returns it, and the bias that is still to add (not divided)."""
        self.linear_ops.append(LinearOp(linear_op, x, linear, separable=separable))
        choice = self.plan.matmuls.get(linear_op)
        if choice is None:
            weight = linear.weight if divisor is None else linear.weight / divisor
            inputs, bias = (x, self.floats(f"{linear_op}.weight", weight)), linear.bias
        else:
            x = self.smooth(linear_op, x, choice, smoothed=smoothed)
            x = self.quantize_dequantize(linear_op, x, choice.activation)
            integers = self.int8_weight(linear_op, choice, divisor)
            weight_name = f"{linear_op}.weight.dequantize"
            dequantized = self.graph.node("DequantizeLinear", integers, weight_name, axis=1)
            inputs, bias = (x, dequantized), choice.bias
        return self.graph.node("MatMul", inputs, f"{linear_op}.matmul"), bias

    def smooth(self, linear_op: str, x: str, choice: MatMulPlan, *, smoothed: bool) -> str:
        """Divide a matmul's input by its smoothing, if it has one and what made the input has not."""
        if choice.smoothing is None or smoothed:
            return x
        factors = self.floats(f"{linear_op}.smoothing", 1 / choice.smoothing)
        return self.graph.node("Mul", (x, factors), f"{linear_op}.smooth")

    def tied_linear(self, linear_op: str, x: str, linear: Linear) -> str:
        """Write ``x @ weight + bias`` with the transposed table of word embeddings as the weight.

        The table is in the graph once. Engines find an int8 matmul in it all the same: scales per row of the
        table are scales per output here (ONNX Runtime 1.32, OpenVINO 2026.4).
        """
        self.linear_ops.append(LinearOp(linear_op, x, linear, tied=True))
        choice, bias = self.plan.matmuls.get(linear_op), linear.bias
        if choice is not None:
            x, bias = self.quantize_dequantize(linear_op, x, choice.activation), choice.bias
        table = self.word_table(linear.weight.T)
        weight = self.graph.node("Transpose", (table,), f"{linear_op}.weight", perm=(1, 0))
        product = self.graph.node("MatMul", (x, weight), f"{linear_op}.matmul")
        return self.add_bias(linear_op, product, bias)

    def word_table(self, words: Array) -> str:
        """Return the table of word embeddings, float [vocabulary, hidden], dequantized where it is int8.

        ``words``: the same in float32.
        """
        rows, name = self.plan.word_embeddings, "embeddings.table"
        if rows is None:
            return self.floats("embeddings.word", words)
        if name not in self._written:
            self._written.add(name)
            values = self.graph.constant("embeddings.word", rows.values)
            scale = self.scales("embeddings.scale.rows", rows.scale[:, 0])
            zero = self.graph.constant("embeddings.zero", np.zeros(len(rows.scale)), np.int8)
            self.graph.node("DequantizeLinear", (values, scale, zero), name, axis=0)
        return name

    def add_bias(self, name: str, product: str, bias: Array) -> str:
        """Add a bias float32 [outputs]."""
        return self.graph.node("Add", (product, self.floats(f"{name}.bias", bias)), f"{name}.biased")

    def quantize_dequantize(self, linear_op: str, x: str, grid: ActivationRange) -> str:
        """Round ``x`` to the integers of ``grid``, as engines recognise it: Q, then DQ."""
        scale = self.scales(f"{linear_op}.scale", grid.scale)
        zero = self.graph.constant(f"{linear_op}.zero_point", grid.zero_point, grid.dtype)
        integers = self.graph.node("QuantizeLinear", (x, scale, zero), f"{linear_op}.quantize")
        return self.graph.node("DequantizeLinear", (integers, scale, zero), f"{linear_op}.dequantize")

    def int8_weight(self, linear_op: str, choice: MatMulPlan, divisor: Array | None) -> tuple[str, str, str]:
        """Add a weight int8 [inputs, outputs], its scales divided by ``divisor``, and its zero points."""
        scale = choice.weight_scale if divisor is None else choice.weight_scale / divisor
        return (
            self.graph.constant(f"{linear_op}.weight", choice.weight),
            self.scales(f"{linear_op}.weight_scale", scale),
            self.graph.constant(f"{linear_op}.weight_zero", np.zeros(len(choice.weight_scale)), np.int8),
        )

    def layer_norm(self, name: str, norm: LayerNorm, x: str, *, epsilon: float) -> str:
        """Normalize the last axis, in float32 whatever the body is.

        Squares of what half precision can hold overflow it, and whether an engine adds them up in
        float32 by itself is nowhere promised; with the casts written out it has no choice.
        """
        halved = self.body != np.float32
        if halved:
            x = self.graph.node("Cast", (x,), f"{name}.wide", to=onnx_type(np.float32))
        scale = self.graph.constant(f"{name}.scale", norm.scale, np.float32)
        shift = self.graph.constant(f"{name}.shift", norm.shift, np.float32)
        attributes = {"axis": -1, "epsilon": epsilon}
        if not halved:
            return self.graph.node("LayerNormalization", (x, scale, shift), name, **attributes)
        wide = self.graph.node("LayerNormalization", (x, scale, shift), f"{name}.normalized", **attributes)
        return self.graph.node("Cast", (wide,), name, to=onnx_type(self.body))

    def activation(self, name: str, x: str, *, kind: str) -> str:
        """Apply ``gelu`` (erf), ``gelu_tanh`` or ``relu``."""
        graph = self.graph
        if kind == "relu":
            return graph.node("Relu", (x,), name)
        if kind == "gelu_tanh":
            cubed = graph.node("Mul", (graph.node("Mul", (x, x), f"{name}.square"), x), f"{name}.cube")
            small = graph.node("Mul", (cubed, self.scalar(0.044715)), f"{name}.small")
            inner = graph.node("Add", (x, small), f"{name}.inner")
            inner = graph.node("Mul", (inner, self.scalar(float(np.sqrt(2 / np.pi)))), f"{name}.scaled")
            gate = graph.node("Tanh", (inner,), f"{name}.tanh")
        else:
            root = graph.node("Div", (x, self.scalar(float(np.sqrt(2)))), f"{name}.scaled")
            gate = graph.node("Erf", (root,), f"{name}.erf")
        # In this order, x * (1 + erf(x / sqrt 2)) * 0.5, engines recognise GELU and fuse it.
        gate = graph.node("Add", (gate, self.scalar(1.0)), f"{name}.gate")
        return graph.node("Mul", (graph.node("Mul", (x, gate), f"{name}.twice"), self.scalar(0.5)), name)

    def heads(self, name: str, x: str, *, heads: int, size: int, order: tuple[int, ...]) -> str:
        """Split the last axis into heads, [batch, tokens, heads, size], and permute by ``order``."""
        shape = self.graph.constant(f"shape.0,0,{heads},{size}", [0, 0, heads, size], np.int64)
        split = self.graph.node("Reshape", (x, shape), f"{name}.heads")
        return self.graph.node("Transpose", (split,), f"{name}.transposed", perm=order)

    def split(self, name: str, x: str, outputs: tuple[str, ...], width: int) -> tuple[str, ...]:
        """Cut the last axis into parts of ``width`` each."""
        sizes = self.graph.constant(f"sizes.{len(outputs)}x{width}", [width] * len(outputs), np.int64)
        return self.graph.nodes("Split", (x, sizes), name, outputs, axis=-1)

    def first_token(self, name: str, x: str) -> str:
        """Keep token 0, as [batch, 1, width]."""
        zero = self.graph.constant("index.0", [0], np.int64)
        one = self.graph.constant("index.1", [1], np.int64)
        return self.graph.node("Slice", (x, zero, one, one), name)

    def attention(self, linear_op: str, query: str, key: str, value: str, bias: str) -> str:
        """Write ``softmax(query @ key + bias) @ value``, both products in int8 where the plan says so.

        ``query``: [batch, heads, tokens, d], scaled. ``key``: [batch, heads, d, tokens]. ``value``: [batch,
        heads, tokens, d]. ``bias``: [batch, 1, 1, tokens]. Returns [batch, heads, tokens, d].
        """
        graph, plan = self.graph, self.plan.attentions.get(linear_op)
        if plan is not None:
            query = self.quantize_dequantize(f"{linear_op}.q", query, plan.query)
            key = self.quantize_dequantize(f"{linear_op}.k", key, plan.key)
            value = self.quantize_dequantize(f"{linear_op}.v", value, plan.value)
        scores = graph.node("MatMul", (query, key), f"{linear_op}.scores")
        masked = graph.node("Add", (scores, bias), f"{linear_op}.masked")
        probabilities = graph.node("Softmax", (masked,), f"{linear_op}.softmax", axis=-1)
        if plan is not None:
            probabilities = self.quantize_dequantize(f"{linear_op}.shares", probabilities, plan.probabilities)
        return graph.node("MatMul", (probabilities, value), f"{linear_op}.context")

    def floats(self, name: str, value: object) -> str:
        """Add a constant in the type of the body."""
        return self.graph.constant(name, value, self.body)

    def scales(self, name: str, value: object) -> str:
        """Add steps of an integer grid in the type of the body; one that rounds to 0 becomes the least.

        The quantizer's least step is far below what half precision can hold, and engines refuse a step of 0.
        """
        least = np.finfo(self.body).smallest_subnormal
        return self.floats(name, np.maximum(np.asarray(value).astype(self.body), least))

    def scalar(self, value: float) -> str:
        """Add a number in the type of the body; equal ones are shared."""
        return self.floats(f"scalar.{value:g}", value)


def onnx_type(dtype: type[np.generic]) -> int:
    """Return ONNX's number for a type."""
    from onnx import helper

    return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
