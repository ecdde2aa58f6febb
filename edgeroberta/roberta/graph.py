"""Writes RoBERTa as an ONNX graph straight from its weights, in float or in int8 with Q/DQ.

The shape of the graph is chosen for what engines fuse (measured, see ``docs/explanation/graph.md``):
Q, K and V are one matmul with 1/sqrt(d) folded into Q; positions are a slice of a table, because
inputs are right-padded; the mask is added as -10000, which half precision can hold; where the head reads
the first token alone, the last layer computes no other; and of pairs, token types are found by the first
separator. For ONNX Runtime alone an int8 graph has operators of its own, see
:mod:`edgeroberta.roberta.ort_blocks`.

Inputs are ``input_ids`` and ``attention_mask``, int64 [batch, length], right-padded; the output is
``logits``, float32 [batch, labels], or [batch, length, labels] of a head per token. What a graph ends with
is written by its head, see :mod:`edgeroberta.roberta.heads`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeroberta.roberta.arrays import Array, LayerNorm, Linear
from edgeroberta.roberta.blocks import Attention, Blocks, LinearOp, onnx_type
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.heads import HEADS, EncoderTensors
from edgeroberta.roberta.onnx_builder import OPSET, GraphBuilder
from edgeroberta.roberta.ort_blocks import OrtBlocks
from edgeroberta.roberta.quantized import QuantizationPlan
from edgeroberta.roberta.weights import EncoderLayer, Weights, load_weights

#: Added to the scores of padding; exp() of it is 0 in float16 and float32 alike.
MASKED_SCORE = -10000.0
#: The first opset whose QuantizeLinear and DequantizeLinear take float16.
HALF_SCALES_OPSET = 19


@dataclass(frozen=True)
class GraphForm:
    """How to write the graph; independent of the weights."""

    #: type of weights and activations outside the integer parts, float32 or float16
    body: type[np.floating] = np.float32
    #: let the last layer compute only what the first token needs, where the head reads that token alone; one
    #: attention shape then differs from the rest
    first_token_only: bool = True
    interchange: bool = True  # add outputs that other programs look for, where the head has such
    fixed: bool = False  # let shapes depend on those of the inputs alone, not on what is in them
    #: write int8 matmuls and what is around them as operators of ONNX Runtime's own, for that engine alone
    onnxruntime: bool = False
    observers: bool = False  # make the inputs of every matmul and attention graph outputs, for calibration


#: What TensorRT is given. All layers compute all tokens: for a single query it makes no fused int8
#: attention but two matmuls and a softmax of their own (TensorRT-RTX 1.7.1).
TENSORRT = GraphForm(body=np.float16, first_token_only=False, interchange=False, fixed=True)
#: The same computation in a float32 body, for ONNX Runtime on a CPU: what the int8 engine is held to.
INT8_EMULATION = GraphForm(first_token_only=False, interchange=False)
#: What ONNX Runtime is given of an int8 graph, where that is not the emulation graph; of a float one it
#: fuses as much by itself.
ONNXRUNTIME = GraphForm(onnxruntime=True)


@dataclass(frozen=True)
class Graph:
    """A written graph: the builder that can save it, its matmuls and attentions in order."""

    builder: GraphBuilder
    linear_ops: tuple[LinearOp, ...]
    attentions: tuple[Attention, ...]


def build_graph(
    weights: Weights, plan: QuantizationPlan | None = None, form: GraphForm | None = None
) -> Graph:
    """Write the graph of an encoder, whose layers may differ, and its head; float without a plan."""
    return _RequestWriter(weights, plan or QuantizationPlan({}), form or GraphForm()).write()


def write_float(
    checkpoint: Checkpoint | Path, path: Path, form: GraphForm | None = None, *, pair: bool = False
) -> tuple[Path, ...]:
    """Write a checkpoint as a float graph, of pairs or single texts, and return the files written."""
    return build_graph(load_weights(checkpoint, pair=pair), form=form).builder.save(path)


class _RequestWriter:
    def __init__(self, weights: Weights, plan: QuantizationPlan, form: GraphForm) -> None:
        self.weights, self.plan, self.form = weights, plan, form
        self.config = weights.config
        half = form.body == np.float16 and bool(plan.matmuls or plan.word_embeddings)
        self.graph = GraphBuilder("roberta", opset=HALF_SCALES_OPSET if half else OPSET)
        blocks = OrtBlocks if form.onnxruntime else Blocks
        self.blocks = blocks(self.graph, plan, form.body)
        self._bias: str | None = None

    def write(self) -> Graph:
        graph = self.graph
        ids = graph.input("input_ids", np.int64, ("batch", "length"))
        mask = graph.input("attention_mask", np.int64, ("batch", "length"))
        hidden = self.embeddings(ids)
        last = len(self.weights.layers) - 1
        first = self.form.first_token_only and HEADS[self.config.head].first_token_only
        for index, layer in enumerate(self.weights.layers):
            only_first = first and index == last
            hidden = self.layer(f"layer.{index}", layer, hidden, mask, only_first=only_first)
        encoder = EncoderTensors(ids, mask, hidden, first, self.form.interchange, self.form.fixed)
        for output in self.weights.head.write(self.blocks, encoder):
            graph.node("Cast", (output.tensor,), output.name, to=onnx_type(np.float32))
            graph.output(output.name, np.float32, output.shape)
        if self.form.observers:
            widths = {linear_op.tensor: len(linear_op.linear.weight) for linear_op in self.blocks.linear_ops}
            for attention in self.blocks.attentions:
                widths |= dict.fromkeys(attention.tensors, attention.width)
            for tensor, width in widths.items():
                graph.output(tensor, self.form.body, ("batch", f"tokens:{tensor}", width))
        return Graph(graph, tuple(self.blocks.linear_ops), tuple(self.blocks.attentions))

    # Parts of the encoder -----------------------------------------------------------------

    def embeddings(self, ids: str) -> str:
        graph, table = self.graph, self.weights.embeddings
        words = self.words(ids)
        positions = self.positions(ids)
        total = graph.node("Add", (words, positions), "embeddings.sum")
        if self.weights.separator_id is not None and table.second is not None:
            total = self.second_text(ids, total, self.weights.separator_id, table.second)
        return self.blocks.layer_norm(
            "embeddings.norm", table.norm, total, epsilon=self.config.layer_norm_eps
        )

    def positions(self, ids: str) -> str:
        """Take the rows of the position table that the ids are at, float [length, hidden]."""
        graph, table = self.graph, self.plan.positions
        if table is None:
            stored = self.blocks.floats("embeddings.position", self.weights.embeddings.position)
        else:
            stored = graph.constant("embeddings.position", table.values)
        zero = graph.constant("index.0", [0], np.int64)
        length = graph.node("Shape", (ids,), "embeddings.length", start=1, end=2)
        if table is None:
            return graph.node("Slice", (stored, zero, length, zero), "embeddings.positions")
        rows = graph.node("Slice", (stored, zero, length, zero), "embeddings.position.rows")
        numbers = graph.node("Cast", (rows,), "embeddings.position.numbers", to=onnx_type(self.form.body))
        scale = self.blocks.floats("embeddings.position.scale", table.scale)
        return graph.node("Mul", (numbers, scale), "embeddings.positions")

    def second_text(self, ids: str, total: str, separator: int, second: Array) -> str:
        """Add to each token of the second text, behind the first separator, what its type has more.

        ``total``: float [batch, length, hidden]. ``second``: float32 [hidden].
        """
        graph = self.graph
        wanted = graph.constant("types.separator", separator, np.int64)
        # In int32, the one type of whole numbers that CumSum has in every engine.
        found = graph.node("Equal", (ids, wanted), "types.found")
        found = graph.node("Cast", (found,), "types.ends", to=onnx_type(np.int32))
        axis = graph.constant("types.axis", 1, np.int32)
        before = graph.node("CumSum", (found, axis), "types.before", exclusive=1)
        behind = graph.node("Cast", (before,), "types.behind", to=onnx_type(np.bool_))
        kinds = graph.node("Cast", (behind,), "types.numbers", to=onnx_type(self.form.body))
        column = graph.node("Unsqueeze", (kinds, graph.constant("index.2", [2], np.int64)), "types.column")
        added = graph.node("Mul", (column, self.blocks.floats("types.second", second)), "types.added")
        return graph.node("Add", (total, added), "types.sum")

    def words(self, ids: str) -> str:
        """Look up the word embeddings, float [batch, length, hidden]."""
        graph, rows = self.graph, self.plan.word_embeddings
        if rows is None:
            table = self.blocks.word_table(self.weights.embeddings.word)
            return graph.node("Gather", (table, ids), "embeddings.words")
        values = graph.constant("embeddings.word", rows.values)
        if self.form.body == np.float16:
            # TensorRT takes int8 constants only where they are dequantized at once ("Quantized constant
            # is only allowed before DQ", TensorRT-RTX 1.7.1). It gathers before it multiplies all the
            # same: the table is int8 in its engine.
            table = self.blocks.word_table(self.weights.embeddings.word)
            return graph.node("Gather", (table, ids), "embeddings.words")
        picked = graph.node("Gather", (values, ids), "embeddings.rows")
        scale = graph.node(
            "Gather", (self.blocks.floats("embeddings.scale", rows.scale), ids), "embeddings.scales"
        )
        numbers = graph.node("Cast", (picked,), "embeddings.numbers", to=onnx_type(self.form.body))
        return graph.node("Mul", (numbers, scale), "embeddings.words")

    def attention_bias(self, mask: str) -> str:
        """Turn the mask int64 [batch, length] into float [batch, 1, 1, length], once: 0 or -10000."""
        if self._bias is not None:
            return self._bias
        graph = self.graph
        kept = graph.node("Cast", (mask,), "mask.float", to=onnx_type(self.form.body))
        padded = graph.node("Sub", (self.blocks.scalar(1.0), kept), "mask.padded")
        scores = graph.node("Mul", (padded, self.blocks.scalar(MASKED_SCORE)), "mask.scores")
        axes = graph.constant("index.1,2", [1, 2], np.int64)
        self._bias = graph.node("Unsqueeze", (scores, axes), "mask.bias")
        return self._bias

    def layer(self, name: str, layer: EncoderLayer, hidden: str, mask: str, *, only_first: bool) -> str:
        residual = self.blocks.first_token(f"{name}.first", hidden) if only_first else hidden
        context, value_bias = self.context(name, layer, hidden, mask, residual if only_first else None)
        output = layer.attention_output
        attended = self.blocks.linear(
            f"{name}.attention.output", context, output, extra_bias=value_bias @ output.weight, smoothed=True
        )
        hidden = self.add_and_norm(f"{name}.attention", layer.attention_norm, attended, residual)
        inner = self.blocks.activation(
            f"{name}.ffn.act",
            self.blocks.linear(f"{name}.ffn.in", hidden, layer.ffn_in),
            kind=self.config.activation,
        )
        outer = self.blocks.linear(f"{name}.ffn.out", inner, layer.ffn_out, separable=True)
        return self.add_and_norm(f"{name}.ffn", layer.ffn_norm, outer, hidden)

    def add_and_norm(self, name: str, norm: LayerNorm, x: str, residual: str) -> str:
        # ONNX Runtime would fuse this into SkipLayerNormalization if it knew both shapes to be equal,
        # and lose by it: 2.5 ms instead of 0.8 for 12 of them at 128 x 384 (1.31.1, AVX-512). It loses
        # track of the length at the slice of the position table, so nothing has to prevent it.
        total = self.graph.node("Add", (x, residual), f"{name}.sum")
        return self.blocks.layer_norm(f"{name}.norm", norm, total, epsilon=self.config.layer_norm_eps)

    def context(
        self, name: str, layer: EncoderLayer, hidden: str, mask: str, first: str | None
    ) -> tuple[str, Array]:
        """Attend, float [batch, tokens, heads * d]; returns the bias of the values beside, still to add.

        Only the query gets its bias here. That of the keys adds the same number to all scores of a
        query, which softmax ignores; that of the values passes through the attention unchanged,
        because its probabilities add up to 1, and is returned for the next bias to take in. The values come
        out divided by the smoothing of the next matmul, which costs nothing here.

        With ``first``, float [batch, 1, hidden], only that token gets a query.
        """
        linear_op = f"{name}.attention"
        scale = np.float32(1 / np.sqrt(self.config.head_size))
        query = Linear(layer.query.weight * scale, layer.query.bias * scale)
        ones = np.ones(query.weight.shape[1], np.float32)
        output = self.plan.matmuls.get(f"{linear_op}.output")
        values = ones if output is None or output.smoothing is None else output.smoothing
        if first is None:
            joint, divisor = _join(query, layer.key, layer.value), np.concatenate([ones, ones, values])
            whole = self.blocks.whole_attention(linear_op, hidden, joint, divisor, mask, layer.heads)
            if whole is not None:
                return whole
            parts, value_bias = self.projections(linear_op, hidden, joint, divisor)
        else:
            joint, divisor = _join(layer.key, layer.value), np.concatenate([ones, values])
            parts, value_bias = self.first_projections(linear_op, hidden, first, query, joint, divisor)
        return self.attention(name, layer, *parts, self.attention_bias(mask)), value_bias

    def projections(
        self, linear_op: str, hidden: str, joint: Linear, divisor: Array
    ) -> tuple[tuple[str, str, str], Array]:
        """Project all tokens to query, key and value, float [batch, tokens, heads * d] each."""
        width = len(divisor) // 3
        product, bias = self.blocks.product(f"{linear_op}.qkv", hidden, joint, divisor=divisor)
        parts = (f"{linear_op}.q.product", f"{linear_op}.k", f"{linear_op}.v")
        product, key, value = self.blocks.split(f"{linear_op}.split", product, parts, width)
        total = self.blocks.add_bias(f"{linear_op}.q", product, bias[:width])
        return (total, key, value), bias[2 * width :]

    def first_projections(
        self, linear_op: str, hidden: str, first: str, query: Linear, joint: Linear, divisor: Array
    ) -> tuple[tuple[str, str, str], Array]:
        """Project all tokens to key and value, and the first to a query, float [batch, 1, heads * d]."""
        width = len(divisor) // 2
        product, bias = self.blocks.product(f"{linear_op}.kv", hidden, joint, divisor=divisor)
        parts = (f"{linear_op}.k", f"{linear_op}.v")
        key, value = self.blocks.split(f"{linear_op}.split", product, parts, width)
        return (self.blocks.linear(f"{linear_op}.query", first, query), key, value), bias[width:]

    def attention(self, name: str, layer: EncoderLayer, query: str, key: str, value: str, bias: str) -> str:
        graph, linear_op = self.graph, f"{name}.attention"
        width = layer.value.weight.shape[1]
        self.blocks.attentions.append(Attention(linear_op, query, key, value, width, f"{linear_op}.output"))
        # Key is transposed to [batch, heads, d, tokens] at once, the others to [.., tokens, d].
        query = self.heads(f"{linear_op}.q", query, layer, (0, 2, 1, 3))
        key = self.heads(f"{linear_op}.k", key, layer, (0, 2, 3, 1))
        value = self.heads(f"{linear_op}.v", value, layer, (0, 2, 1, 3))
        context = self.blocks.attention(linear_op, query, key, value, bias)
        context = graph.node("Transpose", (context,), f"{linear_op}.context.tokens", perm=(0, 2, 1, 3))
        shape = graph.constant(f"shape.0,0,{width}", [0, 0, width], np.int64)
        return graph.node("Reshape", (context, shape), f"{linear_op}.context.joined")

    def heads(self, name: str, x: str, layer: EncoderLayer, order: tuple[int, ...]) -> str:
        return self.blocks.heads(name, x, heads=layer.heads, size=self.config.head_size, order=order)


def _join(*parts: Linear) -> Linear:
    """Put linear layers that read the same input side by side."""
    weight = np.concatenate([part.weight for part in parts], axis=1)
    return Linear(weight, np.concatenate([part.bias for part in parts]))
