"""The graph writer against Hugging Face, on both engines, and the forms it can write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_processor import exact_int8

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.graph import INT8_EMULATION, TENSORRT, Graph, GraphForm, build_graph, write_float
from edgeroberta.roberta.quantized import (
    ActivationRange,
    AttentionPlan,
    FloatChannels,
    MatMulPlan,
    QuantizationPlan,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.weights import EncoderLayer, load_weights

LENGTHS = (1, 2, 7, 64, 128, 512)
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
#: Family, token types and heads; the demo encoder has two types and eps 1e-12, XLM-R and CamemBERT one.
MODELS: Mapping[str, Mapping[str, Any]] = {
    "roberta": {},
    "two-type": {"type_vocab_size": 2, "layer_norm_eps": 1e-12},
    "xlm-roberta": {"model_type": "xlm-roberta", "labels": ("a", "b", "c")},
    "camembert": {"model_type": "camembert"},
    "regression": {"labels": ("score",), "problem": "regression"},
    "tokens": {"labels": TAGS, "problem": "token_classification"},
    "tokens, xlm-roberta": {"labels": TAGS, "problem": "token_classification", "model_type": "xlm-roberta"},
    "tokens, camembert": {"labels": TAGS, "problem": "token_classification", "model_type": "camembert"},
    "gelu-tanh": {"hidden_act": "gelu_new"},
    "relu": {"hidden_act": "relu"},
}


def padded_batch(length: int, *, seed: int = 0, vocabulary: int = 600) -> tuple[Any, Any]:
    """Three rows int64 [3, length]: a full one, one half padding, one of a single token."""
    ids = np.random.default_rng(seed).integers(5, vocabulary, (3, length))
    ids[:, 0] = 0
    mask = np.ones_like(ids)
    for row, kept in enumerate((length, max(1, length // 2), 1)):
        ids[row, kept:], mask[row, kept:] = 1, 0
    return ids, mask


def run_onnxruntime(path: Path, ids: Any, mask: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]


def run_openvino(path: Path, ids: Any, mask: Any) -> Any:
    import openvino

    # On CPUs with bf16 instructions OpenVINO computes in bf16 unless told otherwise.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return compiled({"input_ids": ids, "attention_mask": mask})["logits"]


ENGINES: Mapping[str, Callable[[Path, Any, Any], Any]] = {
    "onnxruntime": run_onnxruntime,
    "openvino": run_openvino,
}


def hugging_face(checkpoint: Path, ids: Any, mask: Any) -> Any:
    import torch

    from edgeroberta.roberta import heads
    from edgeroberta.roberta.checkpoint import Checkpoint

    model = heads.auto_class(Checkpoint(checkpoint).head).from_pretrained(checkpoint).eval()
    with torch.inference_mode():
        return model(torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.numpy()


def meant(logits: Any, mask: Any) -> Any:
    """Leave out the outputs of padding, which mean nothing: transformers gives it another position."""
    return logits if logits.ndim == 2 else logits[mask == 1]


def save(graph: Graph, folder: Path) -> Path:
    graph.builder.save(folder / "model.onnx")
    return folder / "model.onnx"


def evaluate(graph: Graph, folder: Path, ids: Any, mask: Any) -> Any:
    return run_onnxruntime(save(graph, folder), ids, mask)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("model", MODELS)
def test_the_float_graph_equals_hugging_face_at_every_length(make_checkpoint, tmp_path, model, engine):
    checkpoint = make_checkpoint(**MODELS[model])
    write_float(checkpoint, tmp_path / "model.onnx")
    for length in LENGTHS:
        ids, mask = padded_batch(length)
        found, wanted = (
            ENGINES[engine](tmp_path / "model.onnx", ids, mask),
            hugging_face(checkpoint, ids, mask),
        )
        assert found.shape == wanted.shape
        np.testing.assert_allclose(meant(found, mask), meant(wanted, mask), atol=1e-5, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_head_per_token_answers_at_every_length_from_1_to_512(tiny_token_checkpoint, tmp_path, engine):
    write_float(tiny_token_checkpoint, tmp_path / "model.onnx")
    worst = 0.0
    for batch in np.arange(1, 513).reshape(-1, 16)[:: 1 if engine == "onnxruntime" else 8]:
        ids = np.random.default_rng(int(batch[0])).integers(5, 600, (16, batch.max()))
        mask = (np.arange(batch.max()) < batch[:, None]).astype(np.int64)
        ids = np.where(mask == 1, ids, 1)
        found = ENGINES[engine](tmp_path / "model.onnx", ids, mask)
        assert found.shape == (16, batch.max(), len(TAGS))
        off = meant(found, mask) - meant(hugging_face(tiny_token_checkpoint, ids, mask), mask)
        worst = max(worst, float(np.abs(off).max()))
    assert worst <= 1e-5


def test_a_head_per_token_gets_every_token_in_every_form(tiny_token_checkpoint, tmp_path):
    weights, (ids, mask) = load_weights(tiny_token_checkpoint), padded_batch(33)
    wanted = meant(hugging_face(tiny_token_checkpoint, ids, mask), mask)
    for form in (GraphForm(), GraphForm(first_token_only=False), GraphForm(observers=True)):
        found = evaluate(build_graph(weights, form=form), tmp_path, ids, mask)
        np.testing.assert_allclose(meant(found, mask), wanted, atol=1e-5, rtol=0)
    half = evaluate(build_graph(weights, form=TENSORRT), tmp_path, ids, mask)
    assert (half.shape, half.dtype) == ((3, 33, len(TAGS)), np.float32)
    np.testing.assert_allclose(meant(half, mask), wanted, atol=2e-2)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_int8_head_per_token_stays_close_and_is_int8(tiny_token_checkpoint, tmp_path, engine):
    weights, (ids, mask) = load_weights(tiny_token_checkpoint), padded_batch(40)
    exact = evaluate(build_graph(weights), tmp_path, ids, mask)
    plan = int8_plan(build_graph(weights))
    assert plan.matmuls["head.classifier"].weight.shape == (32, len(TAGS))
    assert plan.matmuls["head.classifier"].weight_scale.shape == (len(TAGS),)
    path = save(build_graph(weights, plan), tmp_path)
    onnx.checker.check_model(str(path), full_check=True)
    found = ENGINES[engine](path, ids, mask)
    assert 0 < np.abs(meant(found, mask) - meant(exact, mask)).max() < 0.3


@pytest.mark.parametrize("engine", ENGINES)
def test_channels_that_stay_float_are_multiplied_beside_the_int8_matmul(tiny_checkpoint, tmp_path, engine):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(40)
    exact = evaluate(build_graph(weights), tmp_path, ids, mask)
    graph = build_graph(weights)
    (linear_op,) = (each for each in graph.linear_ops if each.name == "layer.0.ffn.out")
    assert [each.name for each in graph.linear_ops if each.separable] == [
        "layer.0.ffn.out",
        "layer.1.ffn.out",
    ]
    every = np.arange(len(linear_op.linear.weight))
    plan = int8_plan(graph).matmuls[linear_op.name]
    alone = replace(plan, weight=np.zeros_like(plan.weight))
    # All channels float and none int8: the matmul is exact.
    plans = {linear_op.name: replace(alone, outliers=FloatChannels(every, linear_op.linear.weight))}
    path = save(build_graph(weights, QuantizationPlan(plans)), tmp_path)
    onnx.checker.check_model(str(path), full_check=True)
    np.testing.assert_allclose(ENGINES[engine](path, ids, mask), exact, atol=1e-4, rtol=0)
    path = save(build_graph(weights, QuantizationPlan({linear_op.name: alone})), tmp_path)
    assert np.abs(ENGINES[engine](path, ids, mask) - exact).max() > 1e-2


def test_computing_only_the_first_token_changes_nothing(tiny_checkpoint, tmp_path):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(33)
    short = evaluate(build_graph(weights, form=GraphForm(first_token_only=True)), tmp_path, ids, mask)
    whole = evaluate(build_graph(weights, form=GraphForm(first_token_only=False)), tmp_path, ids, mask)
    np.testing.assert_allclose(short, whole, atol=1e-6)


@pytest.mark.parametrize("first_token_only", [True, False])
def test_the_checker_finds_nothing_and_the_opset_is_old_enough(tiny_checkpoint, tmp_path, first_token_only):
    weights = load_weights(tiny_checkpoint)
    form = GraphForm(first_token_only=first_token_only)
    for plan in (None, int8_plan(build_graph(weights, form=form))):
        path = save(build_graph(weights, plan, form), tmp_path)
        onnx.checker.check_model(str(path), full_check=True)
        assert [entry.version for entry in onnx.load(path).opset_import] <= [20]


def test_batch_and_length_are_dynamic(tiny_checkpoint):
    model = build_graph(load_weights(tiny_checkpoint)).builder.model()
    shapes = [[d.dim_param for d in value.type.tensor_type.shape.dim] for value in model.graph.input]
    assert shapes == [["batch", "length"]] * 2


def test_weights_beyond_the_limit_go_to_a_data_file(tiny_checkpoint, tmp_path):
    graph, (ids, mask) = build_graph(load_weights(tiny_checkpoint)), padded_batch(9)
    inside = evaluate(graph, tmp_path, ids, mask)
    (tmp_path / "large").mkdir()
    files = graph.builder.save(tmp_path / "large" / "model.onnx", inline_limit=1000)
    assert [file.name for file in files] == ["model.onnx", "model.onnx_data"]
    assert files[0].stat().st_size < files[1].stat().st_size
    onnx.checker.check_model(str(files[0]))
    for engine in ENGINES.values():
        np.testing.assert_allclose(engine(files[0], ids, mask), inside, atol=1e-6)


def test_uneven_heads_and_ffn_equal_the_masked_model(tiny_checkpoint, tmp_path):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(21)
    first = weights.layers[0]
    columns = np.r_[0:8, 24:32]  # heads 0 and 3 of four, eight columns each
    neurons = np.arange(0, 64, 3)
    pruned = dataclasses.replace(weights, layers=(prune(first, columns, neurons), weights.layers[1]))
    masked = dataclasses.replace(weights, layers=(blank(first, columns, neurons), weights.layers[1]))
    found = evaluate(build_graph(pruned), tmp_path, ids, mask)
    np.testing.assert_allclose(found, evaluate(build_graph(masked), tmp_path, ids, mask), atol=1e-5)


def prune(layer: EncoderLayer, columns: Any, neurons: Any) -> EncoderLayer:
    def outputs(linear: Linear, kept: Any) -> Linear:
        return Linear(linear.weight[:, kept], linear.bias[kept])

    return dataclasses.replace(
        layer,
        query=outputs(layer.query, columns),
        key=outputs(layer.key, columns),
        value=outputs(layer.value, columns),
        attention_output=Linear(layer.attention_output.weight[columns], layer.attention_output.bias),
        ffn_in=outputs(layer.ffn_in, neurons),
        ffn_out=Linear(layer.ffn_out.weight[neurons], layer.ffn_out.bias),
        heads=len(columns) // 8,
    )


def blank(layer: EncoderLayer, columns: Any, neurons: Any) -> EncoderLayer:
    """Zero the rows that read what :func:`prune` removes."""

    def only(linear: Linear, kept: Any) -> Linear:
        weight = np.zeros_like(linear.weight)
        weight[kept] = linear.weight[kept]
        return Linear(weight, linear.bias)

    return dataclasses.replace(
        layer, attention_output=only(layer.attention_output, columns), ffn_out=only(layer.ffn_out, neurons)
    )


def test_a_half_precision_body_stays_close(tiny_checkpoint, tmp_path):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(15)
    half = build_graph(weights, form=GraphForm(body=np.float16))
    types = {onnx.TensorProto.DataType.Name(t.data_type) for t in half.builder.model().graph.initializer}
    assert types == {"FLOAT16", "FLOAT", "INT64"}
    wide = {t.name for t in half.builder.model().graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    assert all(".norm." in name or "_norm" in name for name in wide)  # layer norms alone
    exact = evaluate(build_graph(weights), tmp_path, ids, mask)
    np.testing.assert_allclose(evaluate(half, tmp_path, ids, mask), exact, atol=2e-2)


def int8_plan(graph: Graph, reach: float = 8.0) -> QuantizationPlan:
    """Quantize every site with one fixed range; uneven smoothing on the FFN and behind the attention."""
    plans = {}
    for linear_op in graph.linear_ops:
        smooth = "ffn" in linear_op.name or linear_op.name.endswith("attention.output")
        factors = np.linspace(0.5, 2, len(linear_op.linear.weight), dtype=np.float32) if smooth else None
        weight = linear_op.linear.weight if factors is None else linear_op.linear.weight * factors[:, None]
        grid = ActivationRange.over(-reach, reach, signed="ffn" in linear_op.name)
        plans[linear_op.name] = MatMulPlan(grid, factors, *quantize_weight(weight), linear_op.linear.bias)
    return QuantizationPlan(plans)


def symmetric_plan(weights: Any) -> QuantizationPlan:
    """Every matmul and attention in symmetric int8, as TensorRT takes it."""
    graph = build_graph(weights, form=INT8_EMULATION)
    grid = ActivationRange.over(-6, 6, signed=True)
    plans = {
        linear_op.name: MatMulPlan(
            grid, None, *quantize_weight(linear_op.linear.weight), linear_op.linear.bias
        )
        for linear_op in graph.linear_ops
    }
    attentions = {each.name: AttentionPlan(grid, grid, grid) for each in graph.attentions}
    return QuantizationPlan(plans, quantize_rows(weights.embeddings.word), attentions)


def emulate(weights: Any, plan: QuantizationPlan, ids: Any) -> Any:
    """The plan in numpy, for one text without padding: every product on rounded numbers."""
    from math import erf

    config, table = weights.config, weights.embeddings

    def norm(x: Any, norm: Any) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return (
            x / np.sqrt(np.square(x).mean(-1, keepdims=True) + config.layer_norm_eps) * norm.scale
            + norm.shift
        )

    def product(linear_op: str, x: Any) -> Any:
        choice = plan.matmuls[linear_op]
        return choice.activation.fake_quantize(x) @ (choice.weight * choice.weight_scale)

    x = plan.word_embeddings.values[ids] * plan.word_embeddings.scale[ids] + table.position[: len(ids)]
    x = norm(x, table.norm)
    for index, layer in enumerate(weights.layers):
        name = f"layer.{index}"
        q, k, v = np.split(product(f"{name}.attention.qkv", x), 3, axis=-1)
        q = q + layer.query.bias / np.float32(np.sqrt(config.head_size))
        grids = plan.attentions[f"{name}.attention"]
        q, k, v = (
            grid.fake_quantize(y).reshape(len(ids), layer.heads, -1).transpose(1, 0, 2)
            for grid, y in ((grids.query, q), (grids.key, k), (grids.value, v))
        )
        probabilities = np.exp(q @ k.transpose(0, 2, 1))
        probabilities = grids.probabilities.fake_quantize(
            probabilities / probabilities.sum(-1, keepdims=True)
        )
        context = (probabilities @ v).transpose(1, 0, 2).reshape(len(ids), -1)
        bias = layer.attention_output.bias + layer.value.bias @ layer.attention_output.weight
        x = norm(x + product(f"{name}.attention.output", context) + bias, layer.attention_norm)
        inner = product(f"{name}.ffn.in", x) + layer.ffn_in.bias
        inner = inner * (1 + np.vectorize(erf)(inner / np.sqrt(2))) / 2
        outer = product(f"{name}.ffn.out", inner.astype(np.float32)) + layer.ffn_out.bias
        x = norm(x + outer, layer.ffn_norm)
    dense = np.tanh(product("head.dense", x[:1]) + weights.head.dense.bias)
    return product("head.projection", dense) + weights.head.projection.bias


@exact_int8
def test_the_stand_in_computes_what_the_plan_says(tiny_checkpoint, tmp_path):
    weights = load_weights(tiny_checkpoint)
    plan = symmetric_plan(weights)
    path = save(build_graph(weights, plan, INT8_EMULATION), tmp_path)
    exact = build_graph(weights, dataclasses.replace(plan, attentions={}), INT8_EMULATION)
    (tmp_path / "float").mkdir()
    plain = save(exact, tmp_path / "float")
    for seed in range(3):
        ids = np.random.default_rng(seed).integers(5, 600, 24)
        mask = np.ones((1, 24), np.int64)
        found = run_onnxruntime(path, ids[None], mask)
        # A value on the edge of a step may round either way, and moves what follows by a step.
        np.testing.assert_allclose(found, emulate(weights, plan, ids), atol=0.02)
        assert np.abs(found - run_onnxruntime(plain, ids[None], mask)).max() > 1e-4


def jittered(weights: Any, seed: int) -> Any:
    """The weights with every position off by at most half precision's rounding, 2^-11 of its value."""
    table = weights.embeddings
    noise = 1 + 2**-11 * np.random.default_rng(seed).uniform(-1, 1, table.position.shape)
    positions = (table.position * noise).astype(np.float32)
    return dataclasses.replace(weights, embeddings=dataclasses.replace(table, position=positions))


def test_the_tensorrt_form_is_the_same_computation_in_half_precision(tiny_checkpoint, tmp_path):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(40)
    plan = symmetric_plan(weights)
    graph = build_graph(weights, plan, TENSORRT)
    path = save(graph, tmp_path)
    onnx.checker.check_model(str(path), full_check=True)
    found = run_onnxruntime(path, ids, mask)
    (tmp_path / "stand-in").mkdir()
    stand_in = tmp_path / "stand-in"
    exact = evaluate(build_graph(weights, plan, INT8_EMULATION), stand_in, ids, mask)
    # A value on the edge of an int8 step moves by the whole step, here 6/127. So the emulation itself changes
    # by up to 0.06 when its positions are off by half precision's rounding, which moves the float graph's
    # logits by 0.0003; the form for TensorRT has to be as near as that.
    moved = [
        evaluate(build_graph(jittered(weights, seed), plan, INT8_EMULATION), stand_in, ids, mask) - exact
        for seed in range(4)
    ]
    assert np.abs(found - exact).max() <= 1.5 * np.abs(moved).max()
    # What is not quantized is free of this: both forms of the float graph are near.
    plain = evaluate(build_graph(weights, form=INT8_EMULATION), stand_in, ids, mask)
    half = evaluate(build_graph(weights, form=TENSORRT), stand_in, ids, mask)
    assert np.abs(half - plain).max() < 2e-3
    zeros = [t for t in graph.builder.model().graph.initializer if t.name.endswith("zero_point")]
    assert {t.data_type for t in zeros} == {onnx.TensorProto.INT8}
    assert all(not onnx.numpy_helper.to_array(t).any() for t in zeros)


def test_a_step_too_small_for_half_precision_is_not_zero(tiny_checkpoint):
    weights = load_weights(tiny_checkpoint)
    plan = symmetric_plan(weights)
    dead = dataclasses.replace(plan.matmuls["layer.0.ffn.in"], weight_scale=np.full(64, 1e-12, np.float32))
    plan = dataclasses.replace(plan, matmuls={**plan.matmuls, "layer.0.ffn.in": dead})
    model = build_graph(weights, plan, TENSORRT).builder.model()
    for tensor in model.graph.initializer:
        if tensor.name.endswith("scale") and "norm" not in tensor.name:
            assert (onnx.numpy_helper.to_array(tensor) > 0).all(), tensor.name


def test_the_int8_graph_is_quantized_where_the_plan_says_and_nowhere_else(tiny_checkpoint):
    weights = load_weights(tiny_checkpoint)
    plan = int8_plan(build_graph(weights))
    kept = {linear_op: choice for linear_op, choice in plan.matmuls.items() if linear_op != "layer.0.ffn.out"}
    model = build_graph(
        weights, QuantizationPlan(kept, quantize_rows(weights.embeddings.word))
    ).builder.model()
    types = {t.name: t.data_type for t in model.graph.initializer}
    assert {s for s in plan.matmuls if types[f"{s}.weight"] == onnx.TensorProto.INT8} == set(kept)
    assert types["layer.0.ffn.out.weight"] == onnx.TensorProto.FLOAT
    assert types["embeddings.word"] == onnx.TensorProto.INT8
    quantized = [node.name for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert quantized == [f"{linear_op}.quantize" for linear_op in kept]  # no Q/DQ on outputs


@pytest.mark.parametrize("engine", ENGINES)
def test_the_int8_graph_stays_close_on_every_engine(tiny_checkpoint, tmp_path, engine):
    weights, (ids, mask) = load_weights(tiny_checkpoint), padded_batch(40)
    exact = evaluate(build_graph(weights), tmp_path, ids, mask)
    plan = dataclasses.replace(
        int8_plan(build_graph(weights)), word_embeddings=quantize_rows(weights.embeddings.word)
    )
    found = ENGINES[engine](save(build_graph(weights, plan), tmp_path), ids, mask)
    assert 0 < np.abs(found - exact).max() < 0.3


def test_smoothing_behind_the_attention_is_part_of_the_values_weights(tiny_checkpoint):
    weights = load_weights(tiny_checkpoint)
    names = {
        node.name for node in build_graph(weights, int8_plan(build_graph(weights))).builder.model().graph.node
    }
    assert "layer.0.ffn.in.smooth" in names
    assert "layer.0.attention.output.smooth" not in names


@pytest.mark.parametrize("model", ["tiny_checkpoint", "tiny_token_checkpoint"])
def test_onnxruntime_runs_every_quantized_matmul_in_integers(request, model, tmp_path):
    import onnxruntime

    weights = load_weights(request.getfixturevalue(model))
    plan = int8_plan(build_graph(weights))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    path = save(build_graph(weights, plan), tmp_path)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert operators.count("MatMulIntegerToFloat") == len(plan.matmuls)
    assert "DequantizeLinear" not in operators  # a weight would be dequantized at every call
    assert operators.count("BiasGelu") == len(weights.layers)
    assert "SkipLayerNormalization" not in operators  # slower than what it replaces


def test_a_missing_tensor_is_named(tiny_headless_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=r"tensor 'classifier\.dense\.weight' is missing") as caught:
        write_float(tiny_headless_checkpoint, tmp_path / "model.onnx")
    assert caught.value.exit_code == 2
    assert "--recipe finetune-int8" in str(caught.value)


@pytest.mark.slow
def test_the_packaged_encoder_equals_hugging_face(tmp_path):
    import torch
    from transformers import AutoModelForSequenceClassification

    from edgeroberta import demo

    base = demo.prepare(tmp_path / "cache").base
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(base).save_pretrained(tmp_path / "model")
    write_float(tmp_path / "model", tmp_path / "model.onnx")
    for length in LENGTHS:
        ids, mask = padded_batch(length, vocabulary=50000)
        exact = hugging_face(tmp_path / "model", ids, mask)
        for engine in ENGINES.values():
            np.testing.assert_allclose(engine(tmp_path / "model.onnx", ids, mask), exact, atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [1, 7, 512])
def test_int8_positions_are_those_of_the_rounded_table(tiny_checkpoint, length):
    import onnxruntime

    from edgeroberta.roberta.quantized import quantize_columns

    weights = load_weights(tiny_checkpoint)
    table = quantize_columns(weights.embeddings.position)
    embeddings = dataclasses.replace(weights.embeddings, position=table.values * table.scale)
    graphs = (
        build_graph(weights, QuantizationPlan({}, positions=table)),
        build_graph(dataclasses.replace(weights, embeddings=embeddings)),
    )
    ids = np.random.default_rng(0).integers(3, 600, (2, length))
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    answers = [
        onnxruntime.InferenceSession(
            graph.builder.model().SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, feed)[0]
        for graph in graphs
    ]
    np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=1e-6)
