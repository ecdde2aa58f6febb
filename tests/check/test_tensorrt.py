"""Real engines, built ahead of time by TensorRT-RTX on this CPU."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgeroberta.check import tensorrt as checking
from edgeroberta.check.expectation import ExpectedOp
from edgeroberta.check.expected_layers import NodeFinding
from edgeroberta.errors import EngineError, UnavailableError, UsageError
from edgeroberta.progress import Progress
from edgeroberta.roberta.graph import TENSORRT, build_graph
from edgeroberta.roberta.quantized import FloatChannels
from edgeroberta.roberta.weights import Weights, load_weights
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.tensorrt.builder import optimization_profiles

from .conftest import plan_for, uneven

needs_rtx = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("tensorrt_rtx") is None,
    reason="tensorrt_rtx is not installed (extra trt-check)",
)
# Two ranges, as bundles have them: attention has to fuse where the length is not fixed, too.
PROFILES = optimization_profiles(Lengths((16, 32, 48), (64, 128, 256, 512), most=32))


def save(weights: Weights, folder: Path, **options: Any) -> Path:
    path = folder / "tensorrt.onnx"
    build_graph(weights, plan_for(weights, **options), TENSORRT).builder.save(path)
    return path


@needs_rtx
@pytest.mark.parametrize("shape", ["even", "uneven"])
def test_every_matmul_is_int8_and_every_attention_fused(small_weights, tmp_path, shape):
    weights = small_weights if shape == "even" else uneven(small_weights)
    found = checking.check_graph(save(weights, tmp_path), PROFILES)
    assert found.problems == ()
    assert (found.profiles, found.fused) == (2, 4)
    assert found.names(attention=False, int8=True) == [
        *(
            f"layer.{layer}.{linear_op}.matmul"
            for layer in (0, 1)
            for linear_op in ("attention.qkv", "attention.output", "ffn.in", "ffn.out")
        ),
        "head.dense.matmul",
        "head.projection.matmul",
    ]


@needs_rtx
def test_a_head_per_token_is_int8_behind_attentions_that_are_all_fused(token_weights, tmp_path):
    found = checking.check_graph(save(token_weights, tmp_path), PROFILES)
    assert found.problems == ()
    assert (found.profiles, found.fused) == (2, 4)
    assert len(found.names(attention=True, int8=True)) == 2
    assert len(found.names(attention=False, int8=True)) == 9
    assert found.names(attention=False, int8=True)[-1] == "head.classifier.matmul"
    assert found.names(attention=False, int8=False) == []


@needs_rtx
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_an_embedding_is_pooled_behind_int8_matmuls_and_attentions_that_are_all_fused(
    make_embedder, tmp_path, pooling
):
    sizes = {"hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4}
    weights = load_weights(make_embedder(pooling, **sizes))
    found = checking.check_graph(save(weights, tmp_path), PROFILES)
    assert found.problems == ()
    assert (found.profiles, found.fused) == (2, 4)
    assert len(found.names(attention=True, int8=True)) == 2
    assert len(found.names(attention=False, int8=True)) == 8
    assert found.names(attention=False, int8=False) == []


@needs_rtx
def test_the_types_of_a_berts_pairs_take_no_fusion_from_its_attentions(bert_pair_weights, tmp_path):
    found = checking.check_graph(save(bert_pair_weights, tmp_path), PROFILES)
    assert found.problems == ()
    assert (found.profiles, found.fused) == (2, 4)
    assert len(found.names(attention=True, int8=True)) == 2
    assert len(found.names(attention=False, int8=True)) == 10
    assert found.names(attention=False, int8=False) == []


@needs_rtx
def test_a_head_for_masks_is_int8_to_its_tied_decoder_behind_fused_attentions(mask_weights, tmp_path):
    path = save(mask_weights, tmp_path)
    stored = onnx.load(path).graph.initializer
    tables = [each.name for each in stored if sorted(each.dims) == [128, 600]]
    assert tables == ["embeddings.word"]
    found = checking.check_graph(path, PROFILES)
    assert found.problems == ()
    assert (found.profiles, found.fused) == (2, 4)
    assert found.names(attention=False, int8=True)[-2:] == ["head.dense.matmul", "head.decoder.matmul"]
    assert found.names(attention=False, int8=False) == []


@needs_rtx
def test_what_the_plan_keeps_float_is_expected_float(small_weights, tmp_path):
    kept = ("layer.0.ffn.out", "layer.1.attention")
    found = checking.check_graph(save(small_weights, tmp_path, fp32_fallback=kept), PROFILES)
    assert found.problems == ()
    assert found.names(attention=False, int8=False) == ["layer.0.ffn.out.matmul"]
    assert found.names(attention=True, int8=False) == ["layer.1.attention.softmax"]
    assert found.left_float == ("layer.0.ffn.out.matmul", "layer.1.attention.softmax")
    assert found.fused == 4, "a float attention between int8 matmuls fuses, too"


@needs_rtx
def test_channels_that_stay_float_leave_their_matmul_int8_and_every_attention_fused(small_weights, tmp_path):
    plan = plan_for(small_weights)
    whole = plan.matmuls["layer.0.ffn.out"]
    rows = FloatChannels(np.array([3, 5]), small_weights.layers[0].ffn_out.weight[[3, 5]])
    matmuls = {**plan.matmuls, "layer.0.ffn.out": dataclasses.replace(whole, outliers=rows)}
    path = tmp_path / "tensorrt.onnx"
    build_graph(small_weights, dataclasses.replace(plan, matmuls=matmuls), TENSORRT).builder.save(path)
    found = checking.check_graph(path, PROFILES)
    assert found.problems == ()
    assert "layer.0.ffn.out.matmul" in found.names(attention=False, int8=True)
    assert found.names(attention=False, int8=False) == ["layer.0.ffn.out.outliers.matmul"]
    assert found.fused == 4


@needs_rtx
def test_an_int8_attention_before_a_float_projection_does_not_fuse_and_is_named(small_weights, tmp_path):
    kept = ("layer.1.attention.output",)
    found = checking.check_graph(save(small_weights, tmp_path, fp32_fallback=kept), PROFILES)
    assert found.problems == ("layer.1.attention.softmax: the engine does not fuse it (profile 0)",)


@needs_rtx
def test_an_attention_that_does_not_fuse_is_named(small_weights, tmp_path):
    form = dataclasses.replace(TENSORRT, first_token_only=True)
    plan = plan_for(small_weights)
    graph = build_graph(small_weights, plan, form)
    path = tmp_path / "tensorrt.onnx"
    # The sites of the last layer differ in this form: they stay float, the attention is asked for.
    graph.builder.save(path)
    found = checking.check_graph(path, PROFILES)
    assert [line for line in found.problems if line.startswith("layer.1.attention.softmax: ")] == [
        "layer.1.attention.softmax: the engine does not fuse it (profile 0)"
    ]


@needs_rtx
def test_the_fp16_graph_builds_and_asks_for_no_integers(small_weights, tmp_path):
    path = tmp_path / "model_fp16.onnx"
    build_graph(small_weights, form=TENSORRT).builder.save(path)
    found = checking.check_graph(path, PROFILES[:1], compare_fp32=path)
    assert found.names(attention=False, int8=True) == []
    assert found.fused == 2
    assert 0.3 < found.share < 1


@needs_rtx
def test_a_node_that_the_parser_refuses_is_named(small_weights, tmp_path):
    path = save(small_weights, tmp_path)
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.name == "layer.1.ffn.in.matmul")
    node.op_type = "NoSuchOperator"
    onnx.save(model, path)
    with pytest.raises(EngineError, match=r"layer\.1\.ffn\.in\.matmul"):
        checking.check_graph(path, PROFILES)


def test_without_tensorrt_rtx_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(checking, "PACKAGE", "no_such_package")
    with pytest.raises(UnavailableError) as caught:
        checking.check_graph(tmp_path / "tensorrt.onnx", PROFILES)
    assert caught.value.exit_code == 4
    assert "edgeroberta[trt-check]" in str(caught.value)


@needs_rtx
def test_a_bundle_without_a_graph_for_tensorrt_is_refused(tiny_bundle):
    with pytest.raises(UsageError, match="no graph for TensorRT, only for onnxruntime, openvino"):
        checking.check(tiny_bundle, compare_fp32=False, progress=Progress())


def test_the_result_is_json_and_an_engine_that_is_too_large_is_told():
    one = checking.EngineGraphCheck("tensorrt", "tensorrt.onnx", (), 3, 1, 2, 10, 36, 0.5, fp32_bytes=100)
    result = checking.GraphCheck("TensorRT-RTX 1", "SM86", (one,))
    assert result.ready
    fields = json.loads(json.dumps(result.to_json()))
    assert fields["engines"][0]["oversized"] is True
    assert not dataclasses.replace(one, engine_bytes=35).oversized
    assert np.isclose(fields["engines"][0]["share_of_fp32"], 0.36)


@needs_rtx
def test_an_attention_of_the_fp16_graph_that_does_not_fuse_is_named(small_weights, tmp_path):
    path = tmp_path / "model_fp16.onnx"
    build_graph(small_weights, form=TENSORRT).builder.save(path)
    model = onnx.load(path)
    softmax = next(node for node in model.graph.node if node.name == "layer.1.attention.softmax")
    # Its output leaves the graph, so it has to be written to memory.
    model.graph.output.append(
        onnx.helper.make_tensor_value_info(softmax.output[0], onnx.TensorProto.FLOAT16, None)
    )
    onnx.save(model, path)
    found = checking.check_graph(path, PROFILES[:1], engine="tensorrt-fp16")
    assert found.problems == ("layer.1.attention.softmax: the engine does not fuse it (profile 0)",)


@needs_rtx
def test_a_log_that_lists_no_layers_is_an_error(small_weights, tmp_path, monkeypatch):
    path = tmp_path / "model_fp16.onnx"
    build_graph(small_weights, form=TENSORRT).builder.save(path)
    monkeypatch.setattr("edgeroberta.check.expected_layers._HEADER", "Layers of another version:\n")
    with pytest.raises(EngineError, match="0 layers of profile 0"):
        checking.check_graph(path, PROFILES[:1], engine="tensorrt-fp16")


def test_what_the_quantizer_left_float_is_not_ready_unless_it_is_allowed():
    kept = tuple(NodeFinding(ExpectedOp(name, name == "s", False, (name,)), None) for name in ("m", "s"))
    int8 = checking.EngineGraphCheck("tensorrt", "tensorrt.onnx", kept, 3, 1, 2, 10, 36, 0.5)
    half = checking.EngineGraphCheck("tensorrt-fp16", "model_fp16.onnx", kept, 3, 1, 2, 10, 36, 0.5)
    result = checking.GraphCheck("TensorRT-RTX 1", "SM86", (int8, half))
    assert result.problems == tuple(
        f"tensorrt.onnx: {name}: left float by the quantizer" for name in ("m", "s")
    )
    assert not result.to_json()["ready"]
    assert dataclasses.replace(result, allow_float=True).ready


@needs_rtx
def test_the_target_chooses_the_gpu_that_is_built_for(tiny_bundle):
    from edgeroberta import targets

    module = importlib.import_module(checking.PACKAGE)
    for name in targets.names():
        target = targets.load(name)
        if "tensorrt" in target.engines:
            assert hasattr(module.ComputeCapability, str(target.check_sm)), name
    with pytest.raises(UnavailableError, match="does not build for SM110"):
        checking.check(tiny_bundle, compare_fp32=False, progress=Progress(), compute_capability="SM110")
