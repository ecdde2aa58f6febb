"""What ONNX Runtime and OpenVINO make of graphs with layers of uneven shapes, counted on this processor."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from int8_processor import exact_int8

from edgeroberta.check import cpu, fusion, kernels
from edgeroberta.errors import EngineError, UsageError
from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.graph import build_graph
from edgeroberta.roberta.quantized import (
    ActivationRange,
    MatMulPlan,
    QuantizationPlan,
    quantize_rows,
    quantize_weight,
)
from edgeroberta.roberta.weights import Weights
from edgeroberta.runtime import onnxruntime as runtime

#: Heads and FFN neurons per layer: one of each, odd numbers, no multiples of 8, 16 or 32.
SHAPES = {
    "one of each": ((1, 1), (1, 1)),
    "odd": ((3, 13), (1, 101)),
    "full beside one": ((4, 256), (1, 1)),
    "narrow": ((2, 7), (3, 255)),
}
HEAD = 32
PROCESSOR = pytest.mark.skipif(
    not (cpu.decisive("onnxruntime") and cpu.decisive("openvino")),
    reason="on this processor the engines are not known to do all that is demanded",
)


def shaped(weights: Weights, shapes: Sequence[tuple[int, int]]) -> Weights:
    """Keep the first heads and neurons of each layer."""
    layers = []
    for layer, (heads, neurons) in zip(weights.layers, shapes, strict=True):
        width = slice(0, heads * HEAD)

        def outputs(linear: Linear, kept: slice) -> Linear:
            return Linear(linear.weight[:, kept], linear.bias[kept])

        layers.append(
            dataclasses.replace(
                layer,
                query=outputs(layer.query, width),
                key=outputs(layer.key, width),
                value=outputs(layer.value, width),
                attention_output=Linear(layer.attention_output.weight[width], layer.attention_output.bias),
                ffn_in=outputs(layer.ffn_in, slice(0, neurons)),
                ffn_out=Linear(layer.ffn_out.weight[:neurons], layer.ffn_out.bias),
                heads=heads,
            )
        )
    return dataclasses.replace(weights, layers=tuple(layers))


def save(weights: Weights, folder: Path, *, signed: bool = False, fp32_fallback: Sequence[str] = ()) -> Path:
    """Write the int8 graph for CPUs: matmuls int8, attentions float."""
    grid = ActivationRange.over(-8, 8, signed=signed)
    matmuls = {
        linear_op.name: MatMulPlan(
            grid, None, *quantize_weight(linear_op.linear.weight), linear_op.linear.bias
        )
        for linear_op in build_graph(weights).linear_ops
        if linear_op.name not in fp32_fallback
    }
    plan = QuantizationPlan(matmuls, quantize_rows(weights.embeddings.word))
    build_graph(weights, plan).builder.save(folder / "model.onnx")
    return folder


def judge(engine: str, folder: Path) -> tuple[fusion.PartFinding, ...]:
    executed = kernels.read(engine, folder, threads=1, length=16)
    return fusion.compare(fusion.demands(folder / "model.onnx"), executed)


def change(folder: Path, **initializers: Any) -> None:
    model = onnx.load(folder / "model.onnx")
    for tensor in model.graph.initializer:
        if (value := initializers.get(tensor.name.replace(".", "_"))) is not None:
            tensor.CopyFrom(onnx.numpy_helper.from_array(value, tensor.name))
    onnx.save(model, folder / "model.onnx")


@PROCESSOR
@pytest.mark.parametrize("signed", [True, False], ids=["int8", "uint8"])
@pytest.mark.parametrize("name", SHAPES)
def test_uneven_layers_lose_no_int8_matmul_and_no_fusion(small_weights, tmp_path, name, signed):
    save(shaped(small_weights, SHAPES[name]), tmp_path, signed=signed)
    # Four matmuls per layer, of which the last has its query apart, and two of the head.
    common = {"int8 matmul": (11, 11), "GELU": (2, 2), "LayerNormalization": (5, 5)}
    assert fusion.counts(judge("onnxruntime", tmp_path)) == common
    assert fusion.counts(judge("openvino", tmp_path)) == {**common, "attention": (2, 2)}


@PROCESSOR
@exact_int8
def test_uneven_layers_give_the_same_answers_on_both_engines(small_weights, tmp_path):
    from edgeroberta.runtime.lengths import Lengths
    from edgeroberta.runtime.session import open_session

    save(shaped(small_weights, SHAPES["odd"]), tmp_path)
    ids = np.arange(3, 19, dtype=np.int64)[np.newaxis]
    answers = []
    for engine in kernels.READERS:
        session = open_session(engine, tmp_path, threads=1, lengths=Lengths((16,), ()))
        answers.append(session.run(ids, np.ones_like(ids)))
        session.close()
    np.testing.assert_allclose(answers[0], answers[1], rtol=0, atol=0.02 * np.ptp(answers[0]) + 1e-3)


@PROCESSOR
@pytest.mark.parametrize("engine", kernels.READERS)
def test_what_the_plan_keeps_float_is_not_demanded(small_weights, tmp_path, engine):
    save(small_weights, tmp_path, fp32_fallback=("layer.0.ffn.out", "head.dense"))
    judged = judge(engine, tmp_path)
    assert fusion.counts(judged)["int8 matmul"] == (9, 9)
    assert fusion.demands(tmp_path / "model.onnx").left_float == (
        "layer.0.ffn.out.matmul",
        "head.dense.matmul",
    )


def test_an_int8_matmul_that_onnx_runtime_computes_in_float_is_named(small_weights, tmp_path, monkeypatch):
    import onnxruntime

    real = runtime.make_options

    def unoptimized(folder: Path, *, threads: int) -> Any:
        options = real(folder, threads=threads)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return options

    monkeypatch.setattr(runtime, "make_options", unoptimized)
    judged = judge("onnxruntime", save(small_weights, tmp_path))
    problems = {each.node: each.problem for each in judged}
    assert problems["layer.1.ffn.in.matmul"] == "the engine multiplies float32 by float32 (MatMul)"
    assert problems["layer.1.ffn.act"] == "the engine computes it in parts (Erf of layer.1.ffn.act.erf)"
    assert fusion.counts(judged)["int8 matmul"] == (0, 11)


@PROCESSOR
@pytest.mark.parametrize("engine", kernels.READERS)
def test_a_gelu_that_an_engine_computes_in_parts_is_named(small_weights, tmp_path, engine):
    save(small_weights, tmp_path)
    change(tmp_path, scalar_0_5=np.array(0.25, np.float32))  # no GELU any more
    judged = judge(engine, tmp_path)
    assert fusion.counts(judged)["GELU"] == (0, 2)
    assert next(each for each in judged if each.problem).node == "layer.0.ffn.act"


@PROCESSOR
def test_an_attention_that_openvino_does_not_fuse_is_named(small_weights, tmp_path):
    save(small_weights, tmp_path)
    model = onnx.load(tmp_path / "model.onnx")
    # Something else reads its softmax, so it has to be written to memory.
    last = model.graph.node[-1]
    read = onnx.helper.make_node("ReduceMean", ["layer.1.attention.softmax"], ["mean"], keepdims=0)
    total = onnx.helper.make_node("Add", [last.input[0], "mean"], ["total"])
    last.input[0] = "total"
    for node in (read, total):
        model.graph.node.insert(len(model.graph.node) - 1, node)
    onnx.save(model, tmp_path / "model.onnx")
    judged = [each for each in judge("openvino", tmp_path) if each.problem]
    assert [each.node for each in judged] == ["layer.1.attention.softmax"]
    assert "the engine does not fuse it" in str(judged[0].problem)


@PROCESSOR
def test_a_float_graph_demands_no_int8_but_all_fusions(tiny_bundle):
    found = {each.engine: each for each in cpu.check(tiny_bundle, ("onnxruntime", "openvino"))}
    assert found["onnxruntime"].summary == "2 of 2 GELUs, 5 of 5 LayerNormalizations"
    assert found["openvino"].summary == "2 of 2 GELUs, 5 of 5 LayerNormalizations, 2 of 2 attentions"
    assert found["openvino"].left_float == (), "nothing was quantized"
    cpu.require(tuple(found.values()), where=tiny_bundle, strict=True)


def test_a_bundle_for_openvino_alone_has_nothing_to_compare_with(make_bundle, tiny_checkpoint):
    bundle = make_bundle(tiny_checkpoint, ("openvino",))
    with pytest.raises(UsageError, match=r"the bundle has no model\.onnx"):
        cpu.check(bundle, ("openvino",))


def checked(*, decisive: bool, problem: str | None = None, unknown: str | None = None) -> cpu.CpuKernelCheck:
    judged = (fusion.PartFinding("layer.3.ffn.in.matmul", fusion.GraphPart.MATMUL, problem, unknown),)
    return cpu.CpuKernelCheck("openvino", "1.0", judged, (), 9, decisive)


def test_a_shortfall_is_refused_where_the_engine_is_known_to_do_better(tmp_path):
    short = checked(decisive=True, problem="the engine multiplies float32 by int8 (FullyConnected)")
    with pytest.raises(EngineError) as caught:
        cpu.require((short,), where=tmp_path, strict=False)
    assert caught.value.exit_code == 1
    assert "openvino 1.0: layer.3.ffn.in.matmul (int8 matmul): the engine multiplies float32" in str(
        caught.value
    )
    assert "--set build.check=false" in str(caught.value)


@pytest.mark.parametrize(
    "found",
    [
        checked(decisive=False, problem="the engine multiplies float32 by int8 (FullyConnected)"),
        checked(decisive=True, unknown="no kernel carries its name"),
    ],
)
def test_what_the_processor_or_an_unknown_version_may_be_to_blame_for_fails_only_a_check(tmp_path, found):
    cpu.require((found,), where=tmp_path, strict=False)
    with pytest.raises(EngineError, match=r"layer\.3\.ffn\.in\.matmul"):
        cpu.require((found,), where=tmp_path, strict=True)


@pytest.mark.parametrize(
    ("machine", "flags", "openvino"),
    [
        ("x86_64", "flags\t\t: sse4_1 avx avx2\n", True),
        ("x86_64", "flags\t\t: sse4_1 avx\n", False),
        ("aarch64", "Features\t: asimd asimddp\n", False),
        ("AMD64", "", False),
    ],
)
def test_openvino_is_held_to_int8_where_its_kernels_are_known(
    tmp_path, monkeypatch, machine, flags, openvino
):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(flags, encoding="utf-8")
    monkeypatch.setattr(cpu.platform, "machine", lambda: machine)
    assert cpu.decisive("openvino", tmp_path) is openvino
    assert cpu.decisive("onnxruntime", tmp_path)
