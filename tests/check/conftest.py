from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.graph import TENSORRT, build_graph
from edgeroberta.roberta.quantized import (
    ActivationRange,
    AttentionPlan,
    MatMulPlan,
    QuantizationPlan,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.weights import Weights, load_weights


def plan_for(weights: Weights, *, fp32_fallback: tuple[str, ...] = ()) -> QuantizationPlan:
    """Quantize every matmul and attention with one range, except those that stay float."""
    graph = build_graph(weights, form=TENSORRT)
    grid = ActivationRange.over(-8, 8, signed=True)
    words = quantize_rows(weights.embeddings.word)
    tied = words.values.T, words.scale[:, 0]
    matmuls = {
        linear_op.name: MatMulPlan(
            grid,
            None,
            *(tied if linear_op.tied else quantize_weight(linear_op.linear.weight)),
            linear_op.linear.bias,
        )
        for linear_op in graph.linear_ops
        if linear_op.name not in fp32_fallback
    }
    attentions = {
        each.name: AttentionPlan(grid, grid, grid)
        for each in graph.attentions
        if each.name not in fp32_fallback
    }
    return QuantizationPlan(matmuls, words, attentions)


def uneven(weights: Weights) -> Weights:
    """Leave two of four heads and a third of the neurons in the first layer."""
    layer, columns, neurons = weights.layers[0], np.r_[0:32, 96:128], np.arange(0, 256, 4)

    def outputs(linear: Linear, kept: Any) -> Linear:
        return Linear(linear.weight[:, kept], linear.bias[kept])

    pruned = dataclasses.replace(
        layer,
        query=outputs(layer.query, columns),
        key=outputs(layer.key, columns),
        value=outputs(layer.value, columns),
        attention_output=Linear(layer.attention_output.weight[columns], layer.attention_output.bias),
        ffn_in=outputs(layer.ffn_in, neurons),
        ffn_out=Linear(layer.ffn_out.weight[neurons], layer.ffn_out.bias),
        heads=2,
    )
    return dataclasses.replace(weights, layers=(pruned, *weights.layers[1:]))


@pytest.fixture(scope="session")
def small_weights(make_checkpoint) -> Weights:
    """Two layers of width 128 with heads of 32, as wide as the heads of small real encoders."""
    return load_weights(make_checkpoint(hidden_size=128, intermediate_size=256, num_attention_heads=4))


@pytest.fixture(scope="session")
def mask_weights(make_checkpoint) -> Weights:
    """The same for masked words."""
    shape = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}
    return load_weights(make_checkpoint(problem="fill_mask", **shape))


@pytest.fixture(scope="session")
def token_weights(make_checkpoint) -> Weights:
    """The same with a label of nine per token."""
    labels = ("O", *(f"{prefix}-{kind}" for kind in ("PER", "LOC", "ORG", "MISC") for prefix in "BI"))
    return load_weights(
        make_checkpoint(
            labels,
            "token_classification",
            hidden_size=128,
            intermediate_size=256,
            num_attention_heads=4,
        )
    )


@pytest.fixture(scope="session")
def bert_pair_weights(make_checkpoint) -> Weights:
    """A BERT of pairs of the same sizes, whose graph finds token types."""
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}
    weights = load_weights(make_checkpoint(model_type="bert", **sizes), pair=True)
    assert weights.separator_id == 6
    return weights
