"""The parts of an int8 graph as ONNX Runtime's own operators, which no other engine reads.

What it makes of Q/DQ by itself leaves the biases of the int8 matmuls to nodes of their own, takes a slow
kernel for the bias with GELU, and an attention for ten nodes. Here each is one operator. The integers are the
same, and so are the answers, bit for bit (ONNX Runtime 1.20 and 1.32).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeroberta.roberta.arrays import Array, Linear
from edgeroberta.roberta.blocks import Blocks, LinearOp, onnx_type
from edgeroberta.roberta.quantized import MatMulPlan

DOMAIN = "com.microsoft"


class OrtBlocks(Blocks):
    """Writes int8 matmuls with their biases, GELU by erf, and attentions whose projections are int8."""

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
        """Write ``x @ weight + bias + extra_bias``; see :meth:`Blocks.linear`."""
        choice = self.plan.matmuls.get(linear_op)
        if choice is None:
            return super().linear(
                linear_op, x, linear, extra_bias=extra_bias, smoothed=smoothed, separable=separable
            )
        self.linear_ops.append(LinearOp(linear_op, x, linear, separable=separable))
        bias = choice.bias if extra_bias is None else choice.bias + extra_bias
        integers, scale, zero = self._quantize(linear_op, x, choice, smoothed=smoothed)
        weight, weight_scale, weight_zero = self.int8_weight(linear_op, choice, None)
        inputs = (
            integers, weight, scale, weight_scale, zero, weight_zero, self.floats(f"{linear_op}.bias", bias)
        )  # fmt: skip
        total = self._node("MatMulIntegerToFloat", inputs, f"{linear_op}.matmul")
        return self.with_outliers(linear_op, x, total, choice)

    def activation(self, name: str, x: str, *, kind: str) -> str:
        """Apply ``gelu`` (erf), ``gelu_tanh`` or ``relu``."""
        return self._node("Gelu", (x,), name) if kind == "gelu" else super().activation(name, x, kind=kind)

    def whole_attention(
        self, linear_op: str, hidden: str, joint: Linear, divisor: Array, mask: str, heads: int
    ) -> tuple[str, Array] | None:
        """Write an attention with its projections; see :meth:`Blocks.whole_attention`.

        None where the plan leaves the projections float, or has the attention in int8.
        """
        name = f"{linear_op}.qkv"
        choice = self.plan.matmuls.get(name)
        if choice is None or linear_op in self.plan.attentions:
            return None
        self.linear_ops.append(LinearOp(name, hidden, joint))
        width = len(choice.bias) // 3
        bias = np.concatenate([choice.bias[:width], np.zeros(2 * width, np.float32)])
        integers, scale, zero = self._quantize(name, hidden, choice, smoothed=False)
        weight, weight_scale, weight_zero = self.int8_weight(name, choice, divisor)
        # The first inputs and the name are those of the matmul, as which checks know it.
        inputs = (
            integers, weight, self.floats(f"{name}.bias", bias), scale, weight_scale, self._mask(mask), zero,
            weight_zero,
        )  # fmt: skip
        # The query is scaled already; of a score that is masked, the graph's form for all engines has -10000.
        attributes = {"num_heads": heads, "scale": 1.0, "mask_filter_value": -10000.0}
        context = self._node("QAttention", inputs, f"{name}.matmul", **attributes)
        return context, choice.bias[2 * width :]

    def _mask(self, mask: str) -> str:
        """Return the mask as int32 [batch, length], made once."""
        if "mask.int32" not in self._written:
            self._written.add("mask.int32")
            self.graph.node("Cast", (mask,), "mask.int32", to=onnx_type(np.int32))
        return "mask.int32"

    def _quantize(
        self, linear_op: str, x: str, choice: MatMulPlan, *, smoothed: bool
    ) -> tuple[str, str, str]:
        """Write the integers of a matmul's input as uint8, with their scale and zero point.

        Integers with a sign are moved up by 128, as ONNX Runtime itself does on x86, which has no fast
        kernel for int8 by int8.
        """
        grid = choice.activation
        x = self.smooth(linear_op, x, choice, smoothed=smoothed)
        scale = self.scales(f"{linear_op}.scale", grid.scale)
        zero = self.graph.constant(
            f"{linear_op}.zero_point", grid.zero_point + (128 if grid.signed else 0), np.uint8
        )
        return self.graph.node("QuantizeLinear", (x, scale, zero), f"{linear_op}.quantize"), scale, zero

    def _node(self, op: str, inputs: tuple[str, ...], name: str, **attributes: Any) -> str:
        return self.graph.node(op, inputs, name, domain=DOMAIN, **attributes)
