"""Writes a static model as an ONNX graph: entries of a table, looked up by token and added, and no layers.

The answer to a text is a weighted mean over its tokens and over its pairs of neighbouring tokens. Each token
has an entry of its own in the table; pairs share a number of entries by hash. An entry holds what it votes
for, times its weight, and the weight itself, so that one lookup and one sum give numerator and denominator.

Inputs and output are those of :mod:`.graph`, so every engine, and the runtime, take it for any other model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeroberta.roberta.arrays import Array
from edgeroberta.roberta.onnx_builder import GraphBuilder

#: The pair (a, b) has entry ``(a * PAIR_FACTOR + b) % pairs``.
PAIR_FACTOR = 1031
#: OpenVINO computes remainders of integers in float32 (2026.4.1), which holds those below this. So products
#: are not computed in the graph but looked up, less whole multiples of ``pairs``.
EXACT = 2**24
#: Added to the sum of the weights, as if one more entry voted for nothing: short texts are less sure.
PRIOR = 1.0


@dataclass(frozen=True, eq=False)
class StaticWeights:
    """What a static model knows."""

    #: float32 [tokens + pairs, d + 1]: votes times weight, and the weight, which is positive
    table: Array
    tokens: int  # entries that are tokens'; the others are pairs'
    output: Array  # float32 [d, outputs], what the mean of the votes says
    #: float32 [d, h], [h] and [h, outputs]: what one hidden layer, with ReLU, makes of it beside that
    hidden: tuple[Array, Array, Array]
    bias: Array  # float32 [outputs], the answer to a text of no weight

    @property
    def pairs(self) -> int:
        """Entries that pairs share; 0 where pairs count for nothing."""
        return len(self.table) - self.tokens


def write(weights: StaticWeights, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Write the graph under each of some names, and return the files written."""
    graph = build(weights)
    return tuple(file for path in paths for file in graph.save(path))


def build(weights: StaticWeights) -> GraphBuilder:
    """Make the graph. Raises ValueError: it has too many entries to number them exactly on every engine."""
    if len(weights.table) > EXACT:
        raise ValueError(f"{len(weights.table)} entries, of {EXACT} at most")
    graph = GraphBuilder("static")
    ids = graph.input("input_ids", np.int64, ("batch", "length"))
    mask = graph.input("attention_mask", np.int64, ("batch", "length"))
    entries, counted = (ids, mask) if not weights.pairs else _with_pairs(graph, weights, ids, mask)
    table = graph.constant("table", weights.table, np.float32)
    rows = graph.node("Gather", (table, entries), "rows")
    numbers = graph.node("Cast", (counted,), "counted.float", to=1)  # 1: float32
    column = graph.node("Unsqueeze", (numbers, graph.constant("axis.2", [2], np.int64)), "counted.column")
    kept = graph.node("Mul", (rows, column), "rows.counted")
    sums = graph.node("ReduceSum", (kept, graph.constant("axis.1", [1], np.int64)), "sums", keepdims=0)
    width = weights.table.shape[1] - 1
    parts = graph.constant("parts", [width, 1], np.int64)
    votes, weight = graph.nodes("Split", (sums, parts), "split", ("votes", "weight"), axis=1)
    total = graph.node("Add", (weight, graph.constant("prior", PRIOR, np.float32)), "total")
    mean = graph.node("Div", (votes, total), "mean")
    said = graph.node("MatMul", (mean, graph.constant("output", weights.output, np.float32)), "said")
    first, shift, second = (
        graph.constant(f"hidden.{number}", part, np.float32) for number, part in enumerate(weights.hidden)
    )
    inner = graph.node("Add", (graph.node("MatMul", (mean, first), "inner.product"), shift), "inner")
    more = graph.node("MatMul", (graph.node("Relu", (inner,), "inner.relu"), second), "more")
    both = graph.node("Add", (said, more), "both")
    graph.node("Add", (both, graph.constant("bias", weights.bias, np.float32)), "logits")
    graph.output("logits", np.float32, ("batch", len(weights.bias)))
    return graph


def _with_pairs(graph: GraphBuilder, weights: StaticWeights, ids: str, mask: str) -> tuple[str, str]:
    """Put the entries of neighbours behind those of tokens; returns entries and mask, [batch, 2 length - 1].

    The mask of a pair is that of its second token, since padding is on the right.
    """
    axis, zero, one = (graph.constant(f"number.{value}", [value], np.int64) for value in (1, 0, 1))
    last, end = graph.constant("before.last", [-1], np.int64), graph.constant("end", [2**31 - 1], np.int64)
    first = graph.node("Slice", (ids, zero, last, axis), "first")
    second = graph.node("Slice", (ids, one, end, axis), "second")
    products = np.arange(weights.tokens, dtype=np.int64) * PAIR_FACTOR % weights.pairs
    begin = graph.node("Gather", (graph.constant("pair.products", products), first), "pair.begin")
    mixed = graph.node("Add", (begin, second), "pair.mixed")
    place = graph.node("Mod", (mixed, graph.constant("pairs", weights.pairs, np.int64)), "pair.place")
    pair = graph.node("Add", (place, graph.constant("tokens", weights.tokens, np.int64)), "pair.entry")
    entries = graph.node("Concat", (ids, pair), "entries", axis=1)
    both = graph.node("Slice", (mask, one, end, axis), "pair.mask")
    return entries, graph.node("Concat", (mask, both), "counted", axis=1)
