"""The int8 graph in ONNX Runtime's own operators, held to the form that all engines read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeroberta.check import expectation
from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.graph import ONNXRUNTIME, Graph, GraphForm, build_graph
from edgeroberta.roberta.quantized import (
    ActivationRange,
    FloatChannels,
    MatMulPlan,
    QuantizationPlan,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.weights import Weights, load_weights
from edgeroberta.runtime import onnxruntime as engine

LENGTHS = (1, 2, 7, 40, 128)


def int8_plan(weights: Weights, *, signed: bool, left: tuple[str, ...] = ()) -> QuantizationPlan:
    plans = {}
    for linear_op in build_graph(weights).linear_ops:
        smooth = "ffn" in linear_op.name or linear_op.name.endswith("attention.output")
        factors = np.linspace(0.5, 2, len(linear_op.linear.weight), dtype=np.float32) if smooth else None
        weight = linear_op.linear.weight if factors is None else linear_op.linear.weight * factors[:, None]
        # Narrower than what is rounded to it, so that both ends of the grid are reached.
        grid = ActivationRange.over(-2.0, 1.5, signed=signed)
        plans[linear_op.name] = MatMulPlan(grid, factors, *quantize_weight(weight), linear_op.linear.bias)
    kept = {name: choice for name, choice in plans.items() if name not in left}
    return QuantizationPlan(kept, quantize_rows(weights.embeddings.word))


def answers(graph: Graph, folder: Path, *, exact_kernels: bool = False) -> list[Any]:
    """Logits of batches with padding, at several lengths; with kernels that do not saturate if wanted."""
    graph.builder.save(folder / "model.onnx")
    library = engine.load()
    options = engine.lean_options(library, 1)
    options.add_session_config_entry("session.x64quantprecision", str(int(exact_kernels)))
    session = library.InferenceSession(
        str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    found = []
    for length in LENGTHS:
        ids = np.random.default_rng(length).integers(5, 600, (3, length))
        mask = (np.arange(length) < np.array([[length], [max(1, length // 2)], [1]])).astype(np.int64)
        ids = np.where(mask == 1, ids, 1)
        logits = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        found.append(logits if logits.ndim == 2 else logits[mask == 1])
    return found


def assert_same(weights: Weights, plan: QuantizationPlan, folder: Path, **options: bool) -> Graph:
    own = build_graph(weights, plan, ONNXRUNTIME)
    for one, other in zip(
        answers(build_graph(weights, plan), folder, **options), answers(own, folder, **options), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    return own


def kinds(graph: Graph) -> Counter[str]:
    return Counter(node.op_type for node in graph.builder.model().graph.node)


@pytest.mark.parametrize("signed", [True, False], ids=["int8", "uint8"])
@pytest.mark.parametrize("model", ["tiny_checkpoint", "tiny_token_checkpoint"])
def test_it_gives_the_same_bits_with_a_third_fewer_nodes(request, model, tmp_path, signed):
    weights = load_weights(request.getfixturevalue(model))
    plan = int8_plan(weights, signed=signed)
    graph = assert_same(weights, plan, tmp_path)
    found = kinds(graph)
    # The last layer of a classifier attends from one token, which the operator for attentions cannot.
    whole = len(weights.layers) - (model == "tiny_checkpoint")
    assert (found["QAttention"], found["Gelu"], found["Erf"]) == (whole, len(weights.layers), 0)
    assert 3 * found.total() < 2 * kinds(build_graph(weights, plan)).total()


def test_kernels_that_do_not_saturate_give_the_same_bits(tiny_checkpoint, tmp_path):
    weights = load_weights(tiny_checkpoint)
    assert_same(weights, int8_plan(weights, signed=False), tmp_path, exact_kernels=True)


def test_layers_with_fewer_heads_than_the_width_has_room_for(make_checkpoint, tmp_path):
    weights = load_weights(make_checkpoint(hidden_size=128, intermediate_size=256, num_attention_heads=4))

    def cut(linear: Linear) -> Linear:
        return Linear(linear.weight[:, :96], linear.bias[:96])

    layer = weights.layers[0]
    fewer = replace(
        layer,
        query=cut(layer.query),
        key=cut(layer.key),
        value=cut(layer.value),
        attention_output=Linear(layer.attention_output.weight[:96], layer.attention_output.bias),
        heads=3,
    )
    weights = replace(weights, layers=(fewer, *weights.layers[1:]))
    graph = assert_same(weights, int8_plan(weights, signed=True), tmp_path)
    assert kinds(graph)["QAttention"] == 1


@pytest.mark.parametrize("left", ["layer.0.attention.qkv", "layer.0.attention.output", "layer.0.ffn.in"])
def test_what_the_plan_leaves_float_is_float_here_too(tiny_checkpoint, tmp_path, left):
    weights = load_weights(tiny_checkpoint)
    graph = assert_same(weights, int8_plan(weights, signed=False, left=(left,)), tmp_path)
    graph.builder.save(tmp_path / "model.onnx")
    assert [each.node for each in expectation.read(tmp_path / "model.onnx") if each.int8] == [
        each.node
        for each in expectation.read(tmp_path / "model.onnx")
        if not each.attention and each.node != f"{left}.matmul"
    ]


def test_channels_beside_an_int8_matmul_stay_beside_it(tiny_checkpoint, tmp_path):
    weights = load_weights(tiny_checkpoint)
    plan = int8_plan(weights, signed=False)
    choice = plan.matmuls["layer.0.ffn.out"]
    channels = np.array([1, 4])
    integers = choice.weight.copy()
    integers[channels] = 0
    outliers = FloatChannels(channels, weights.layers[0].ffn_out.weight[channels])
    matmuls = {**plan.matmuls, "layer.0.ffn.out": replace(choice, weight=integers, outliers=outliers)}
    assert_same(weights, replace(plan, matmuls=matmuls), tmp_path)


def test_checks_expect_of_it_what_they_expect_of_the_other_form(tiny_checkpoint, tmp_path):
    weights = load_weights(tiny_checkpoint)
    plan = int8_plan(weights, signed=False)
    read = []
    for form in (GraphForm(), ONNXRUNTIME):
        build_graph(weights, plan, form).builder.save(tmp_path / "model.onnx")
        found = expectation.read(tmp_path / "model.onnx")
        read.append(
            (set(found), {each.node for each in expectation.gelus(tmp_path / "model.onnx")},
             expectation.norms(tmp_path / "model.onnx"))
        )  # fmt: skip
    assert read[0] == read[1]


def test_other_forms_need_no_operators_of_an_engines_own(tiny_checkpoint):
    weights = load_weights(tiny_checkpoint)
    plan = int8_plan(weights, signed=False)
    assert {each.domain for each in build_graph(weights, plan).builder.model().opset_import} == {""}
    own = build_graph(weights, plan, ONNXRUNTIME).builder.model()
    assert {each.domain: each.version for each in own.opset_import} == {"": 17, "com.microsoft": 1}
    onnx.checker.check_model(own)
