"""The stage ``quantize``: on a tiny seeded model, and (slow) on the real encoder."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeroberta.errors import EngineError
from edgeroberta.roberta.graph import TENSORRT, write_float
from edgeroberta.stages.quantize import QuantizeConfig, quantize
from edgeroberta.storage.artifact import Artifact, Kind

TEXTS = tuple(
    f"The {a} is {b}, said number {n}." for n in range(12) for a in ("film", "plot") for b in ("good", "bad")
)


def settings(**fields: Any) -> QuantizeConfig:
    return QuantizeConfig.model_validate({"samples": 24, "check_samples": 24, "rows": 128, **fields})


@pytest.fixture
def context(tiny_checkpoint, make_build_context) -> Any:
    made = make_build_context(tiny_checkpoint, texts=TEXTS)
    checkpoint = Artifact(tiny_checkpoint, Kind.CHECKPOINT, made.inputs[Kind.GRAPH].lineage)
    return dataclasses.replace(made, inputs={**made.inputs, Kind.CHECKPOINT: checkpoint})


@pytest.fixture
def token_context(tiny_token_checkpoint, make_build_context) -> Any:
    made = make_build_context(tiny_token_checkpoint, texts=TEXTS)
    checkpoint = Artifact(tiny_token_checkpoint, Kind.CHECKPOINT, made.inputs[Kind.GRAPH].lineage)
    return dataclasses.replace(made, inputs={**made.inputs, Kind.CHECKPOINT: checkpoint})


def types(folder: Path) -> dict[str, int]:
    return {t.name: t.data_type for t in onnx.load(folder / "model.onnx").graph.initializer}


def test_every_matmul_and_the_embeddings_become_int8(context):
    notes = quantize(settings(), context)
    found = types(context.output)
    assert [linear_op["linear_op"] for linear_op in notes["linear_ops"]] == [
        *(f"layer.0.{part}" for part in ("attention.qkv", "attention.output", "ffn.in", "ffn.out")),
        *(f"layer.1.{part}" for part in ("attention.kv", "attention.query", "attention.output")),
        *(f"layer.1.{part}" for part in ("ffn.in", "ffn.out")),
        "head.dense",
        "head.projection",
    ]
    for linear_op in notes["linear_ops"]:
        assert found[f"{linear_op['linear_op']}.weight"] == onnx.TensorProto.INT8
        assert linear_op["error"] <= linear_op["minmax_error"]
        assert linear_op["choice"].startswith(("int8", "uint8"))
        assert linear_op["reason"]
    assert found["embeddings.word"] == onnx.TensorProto.INT8
    assert notes["check"]["met"]
    assert notes["check"]["agreement"] >= 0.98


LAYER = ("attention.qkv", "attention.output", "ffn.in", "ffn.out")


def test_a_head_per_token_is_quantized_as_any_matmul_and_every_layer_in_full(token_context):
    # Entities of random weights are all on the edge: how many change is not the question here.
    notes = quantize(settings(min_agreement=0), token_context)
    found = types(token_context.output)
    names = [each["linear_op"] for each in notes["linear_ops"]]
    assert names == [*(f"layer.{layer}.{part}" for layer in (0, 1) for part in LAYER), "head.classifier"]
    assert all(found[f"{name}.weight"] == onnx.TensorProto.INT8 for name in names)
    assert found["embeddings.word"] == onnx.TensorProto.INT8
    json.dumps(notes, allow_nan=False)
    assert 0 <= notes["check"]["agreement"] <= 1
    assert notes["check"]["max_logit_error"] < 0.5


def test_entities_are_compared_by_words_not_by_tokens_that_stand_for_no_text(token_context, monkeypatch):
    seen = []

    def agreement(task: Any, exact: Any, other: Any) -> float:
        seen.append((exact.places, other.places))
        return 0.5 if len(seen) == 1 else 1.0

    monkeypatch.setattr("edgeroberta.metrics.agreement", agreement)
    notes = quantize(settings(), token_context)
    assert [each["linear_op"] for each in notes["linear_ops"] if each["choice"] == "float"]
    for pair in seen:
        for places in pair:
            # <s> and </s> of 24 texts have no word.
            assert (places[:, 2] == -1).sum() == 2 * 24
            assert places[:, 1].max() > 20


@pytest.mark.parametrize(
    ("engines", "own"), [(("openvino", "onnxruntime"), True), (("openvino",), False)], ids=["both", "other"]
)
def test_onnx_runtime_gets_the_same_plan_in_its_own_operators(context, engines, own):
    target = dataclasses.replace(context.target, engines=engines)
    quantize(settings(), dataclasses.replace(context, target=target))
    file = context.output / "model.onnxruntime.onnx"
    assert file.is_file() == own
    if own:
        weights = {
            tensor.name: tensor.raw_data
            for tensor in onnx.load(file).graph.initializer
            if tensor.name.endswith(".weight")
        }
        common = onnx.load(context.output / "model.onnx").graph.initializer
        assert weights
        assert weights.items() <= {tensor.name: tensor.raw_data for tensor in common}.items()


def test_a_head_per_token_is_written_for_tensorrt_with_every_attention_in_int8(token_context):
    target = dataclasses.replace(token_context.target, engines=("tensorrt", "tensorrt-fp16", "onnxruntime"))
    graph = token_context.inputs[Kind.GRAPH].path
    write_float(token_context.checkpoint, graph / "model.fp16.onnx", TENSORRT)
    notes = quantize(settings(min_agreement=0), dataclasses.replace(token_context, target=target))
    assert notes["half"]["max_logit_error"] <= notes["half"]["limit"]
    written = onnx.load(token_context.output / "model.tensorrt.onnx").graph
    nodes = {node.name for node in written.node}
    for name in ("layer.1.attention.q", "layer.1.attention.shares", "head.classifier"):
        assert f"{name}.quantize" in nodes
    shape = [each.dim_param or each.dim_value for each in written.output[0].type.tensor_type.shape.dim]
    assert shape == ["batch", "length", 5]


def test_positions_become_int8_where_asked_for_and_answers_stay(context, tmp_path):
    quantize(settings(), context)
    assert types(context.output)["embeddings.position"] == onnx.TensorProto.FLOAT
    small = dataclasses.replace(context, output=tmp_path / "small")
    small.output.mkdir()
    notes = quantize(settings(positions=True), small)
    assert types(small.output)["embeddings.position"] == onnx.TensorProto.INT8
    assert notes["positions"] == "int8"
    assert notes["check"]["agreement"] >= 0.98
    saved = (context.output / "model.onnx").stat().st_size - (small.output / "model.onnx").stat().st_size
    assert saved > 0.7 * 512 * 32 * 3, "three of four bytes, less what the scales and nodes take"


def test_positions_stay_as_they_are_for_tensorrt(context):
    target = dataclasses.replace(context.target, engines=("tensorrt", "onnxruntime"))
    notes = quantize(settings(positions=True), dataclasses.replace(context, target=target))
    assert notes["positions"] == "float"
    assert types(context.output)["embeddings.position"] == onnx.TensorProto.FLOAT


def test_the_notes_are_json_and_the_folder_is_a_model(context):
    notes = quantize(settings(), context)
    json.dumps(notes, allow_nan=False)
    assert {file.name for file in context.output.iterdir()} >= {"model.onnx", "config.json", "tokenizer.json"}
    assert not list(context.scratch.glob("t*.onnx*")), "taps and trials are deleted"


def test_the_same_seed_gives_the_same_file(context, tmp_path):
    quantize(settings(), context)
    (tmp_path / "again").mkdir()
    quantize(settings(), dataclasses.replace(context, output=tmp_path / "again"))
    again = (tmp_path / "again" / "model.onnx").read_bytes()
    assert again == (context.output / "model.onnx").read_bytes()


def test_symmetric_activations_have_no_zero_point(context):
    quantize(settings(symmetric=True, embeddings=False), context)
    found = types(context.output)
    zeros = {name: kind for name, kind in found.items() if name.endswith(".zero_point")}
    assert set(zeros.values()) == {onnx.TensorProto.INT8}
    assert found["embeddings.word"] == onnx.TensorProto.FLOAT


@pytest.fixture
def jetson(context) -> Any:
    from edgeroberta import targets
    from edgeroberta.roberta.graph import TENSORRT, write_float

    write_float(context.baseline, context.inputs[Kind.GRAPH].path / "model.fp16.onnx", TENSORRT)
    return dataclasses.replace(context, target=targets.load("jetson"))


def test_a_target_with_tensorrt_gets_its_graph_and_a_stand_in_of_the_same_plan(jetson):
    notes = quantize(settings(), jetson)
    linear_ops = [linear_op["linear_op"] for linear_op in notes["linear_ops"]]
    assert {"layer.0.attention", "layer.1.attention", "layer.1.attention.qkv"} <= set(linear_ops)
    assert "layer.1.attention.query" not in linear_ops  # every layer computes all tokens
    graphs = [onnx.load(jetson.output / name).graph for name in ("model.onnx", "model.tensorrt.onnx")]
    steps = [sorted(node.name for node in graph.node if node.op_type == "QuantizeLinear") for graph in graphs]
    assert steps[0] == steps[1]
    assert {f"layer.{n}.attention.{part}.quantize" for n in (0, 1) for part in ("q", "k", "v", "shares")} <= {
        *steps[0]
    }
    for graph in graphs:
        kinds = {t.data_type for t in graph.initializer if t.name.endswith(".zero_point")}
        assert kinds == {onnx.TensorProto.INT8}, "TensorRT takes no zero points"
    assert (jetson.output / "model.fp16.onnx").is_file()
    assert notes["half"]["max_logit_error"] < 0.02
    assert notes["check"]["agreement"] >= 0.98
    json.dumps(notes, allow_nan=False)


def test_a_half_precision_graph_that_overflows_ends_the_stage_with_what_to_do(jetson):
    file = jetson.inputs[Kind.GRAPH].path / "model.fp16.onnx"
    model = onnx.load(file)
    weight = next(t for t in model.graph.initializer if t.name == "layer.0.ffn.in.weight")
    values = onnx.numpy_helper.to_array(weight).copy()
    values[:] = np.inf
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(model, file)
    with pytest.raises(EngineError, match="half precision"):
        quantize(settings(), jetson)


def test_attentions_stay_float_where_asked_or_where_nothing_fuses_them(context, jetson):
    for made, config in ((context, settings()), (jetson, settings(attention="float"))):
        quantize(config, made)
        nodes = {node.name for node in onnx.load(made.output / "model.onnx").graph.node}
        assert "layer.0.attention.q.quantize" not in nodes


def test_an_attention_that_costs_answers_is_put_back_to_float(jetson, monkeypatch):
    from edgeroberta.quantization import fp32_fallback

    monkeypatch.setattr(
        fp32_fallback,
        "fall_back_to_fp32",
        lambda measure, agreement, exact, linear_ops, **others: fp32_fallback.FallbackResult(
            {"layer.1.attention": "as told"} if "layer.1.attention" in linear_ops else {}, 1.0, 0.0, 0.0, True
        ),
    )
    notes = quantize(settings(), jetson)
    kept = {
        linear_op["linear_op"]: linear_op["reason"]
        for linear_op in notes["linear_ops"]
        if linear_op["choice"] == "float"
    }
    assert kept == {"layer.1.attention": "as told"}
    nodes = {node.name for node in onnx.load(jetson.output / "model.tensorrt.onnx").graph.node}
    assert "layer.1.attention.q.quantize" not in nodes
    assert "layer.0.attention.q.quantize" in nodes


def test_a_budget_that_rounding_breaks_puts_matmuls_back_and_says_why(context, monkeypatch):
    monkeypatch.setattr(
        "edgeroberta.metrics.agreement", lambda task, a, b: float((np.abs(a.values - b.values) < 1e-6).mean())
    )
    said: list[str] = []
    monkeypatch.setattr(context.progress, "line", said.append, raising=False)
    notes = quantize(settings(min_agreement=0.99, max_float=2), context)
    kept = [linear_op for linear_op in notes["linear_ops"] if linear_op["choice"] == "float"]
    assert len(kept) == 2
    assert all("int8 kept" in linear_op["reason"] for linear_op in kept)
    assert not notes["check"]["met"]
    assert "allow more with --set quantize.max_float=N" in said[-1]
    found = types(context.output)
    assert all(found[f"{linear_op['linear_op']}.weight"] == onnx.TensorProto.FLOAT for linear_op in kept)


def weights_of(folder: Path) -> dict[str, np.ndarray]:
    return {
        t.name.removesuffix(".weight"): onnx.numpy_helper.to_array(t)
        for t in onnx.load(folder / "model.onnx").graph.initializer
        if t.name.endswith(".weight") and t.data_type == onnx.TensorProto.INT8
    }


@pytest.mark.parametrize(
    ("target", "saturation", "safe"),
    [
        ("cpu", "auto", False),
        ("cpu-avx2", "auto", True),
        ("cpu", "avoid", True),
        ("cpu-avx2", "ignore", False),
    ],
)
def test_weights_in_the_file_saturate_only_where_the_target_may(context, target, saturation, safe):
    from edgeroberta import targets
    from edgeroberta.quantization.int16_saturation import at_risk

    context = dataclasses.replace(context, target=targets.load(target))
    notes = quantize(settings(saturation=saturation), context)
    risky = [linear_op for linear_op, weight in weights_of(context.output).items() if at_risk(weight).any()]
    assert (not risky) == safe
    assert notes["saturation"] == {"safe": safe, "linear_ops": risky}
    assert {
        linear_op["linear_op"] for linear_op in notes["linear_ops"] if not linear_op["saturation"]["safe"]
    } == set(risky)
    assert any("bits" in linear_op["choice"] for linear_op in notes["linear_ops"]) == safe


def test_a_matmul_that_loses_too_much_to_safe_weights_stays_float_and_says_why(context):
    notes = quantize(settings(saturation="avoid", max_saturation_loss=0), context)
    kept = [linear_op for linear_op in notes["linear_ops"] if linear_op["choice"] == "float"]
    assert kept
    found = types(context.output)
    for linear_op in kept:
        assert linear_op["reason"].startswith("weights that cannot saturate would bring ")
        assert linear_op["saturation"] is None
        assert found[f"{linear_op['linear_op']}.weight"] == onnx.TensorProto.FLOAT
    assert notes["saturation"] == {"safe": True, "linear_ops": []}


def test_checking_on_nothing_is_refused():
    with pytest.raises(ValueError, match="check_samples"):
        settings(check_samples=0)


@pytest.mark.slow
def test_the_real_encoder_keeps_its_answers_in_int8_on_both_engines(tmp_path):
    """Packaged encoder, one epoch on film sentences; 98 % of 1,000 held-out answers stay."""
    from edgeroberta.runtime import Runtime

    bundle = compress_packaged(tmp_path)
    report = json.loads((bundle / "reports" / "report.json").read_text())
    assert sum(linear_op["choice"] == "float" for linear_op in report["linear_ops"]) <= 2
    for engine in report["engines"]:
        assert engine["agreement"] >= 0.98, engine["engine"]
        assert engine["invariance"]["flips"] == 0
        assert engine["invariance"]["max_delta"] <= 1e-3
    with Runtime.open(bundle) as runtime:
        assert runtime("a gorgeous , witty , seductive movie").label == "positive"


def compress_packaged(folder: Path) -> Path:
    import subprocess
    import sys

    from edgeroberta import demo
    from edgeroberta.storage import cache

    sources = demo.prepare(cache.cache_dir())
    command = ["compress", str(sources.base), "--recipe", "finetune-int8", "--set", "finetune.epochs=1"]
    command += [
        "--data",
        sources.data.data,
        "--eval-data",
        str(sources.data.eval_data),
        "-o",
        str(folder / "b"),
    ]
    run = subprocess.run([sys.executable, "-m", "edgeroberta", *command], capture_output=True, text=True)
    assert run.returncode in (0, 3), run.stderr
    return folder / "b"
