"""``edgeroberta check``: what it prints and its exit codes; the engines are built in tests/readiness."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from edgeroberta.check import cpu, fusion, tensorrt
from edgeroberta.check.expectation import ExpectedOp
from edgeroberta.check.expected_layers import NodeFinding
from edgeroberta.cli import main


def run(*arguments: Any) -> int:
    try:
        main(["check", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def answer(monkeypatch: pytest.MonkeyPatch, problem: str | None) -> None:
    matmul = ExpectedOp("layer.0.ffn.in.matmul", False, True, ("layer.0.ffn.in.matmul",))
    kept = ExpectedOp("layer.0.ffn.out.matmul", False, False, ("layer.0.ffn.out.matmul",))
    attention = ExpectedOp("layer.0.attention.softmax", True, False, ("scores", "context"))
    findings = (NodeFinding(matmul, problem), NodeFinding(kept, None), NodeFinding(attention, None))
    one = tensorrt.EngineGraphCheck("tensorrt", "tensorrt.onnx", findings, 9, 1, 1, 5_000_000, 6_000_000, 1.5)
    result = tensorrt.GraphCheck("TensorRT-RTX 1.7", "SM86", (one,))

    def check(bundle: Path, *, allow_float: bool, compute_capability: str, **others: Any) -> Any:
        return dataclasses.replace(result, allow_float=allow_float, compute_capability=compute_capability)

    monkeypatch.setattr(tensorrt, "check", check)


def test_a_ready_bundle_says_what_that_proves_and_what_the_quantizer_left_float(
    tmp_path, monkeypatch, capsys
):
    answer(monkeypatch, None)
    assert run(tmp_path, "--target", "jetson", "--allow-float") == 0
    said = capsys.readouterr().out
    assert "tensorrt.onnx: layer.0.ffn.out.matmul is float, left so by the quantizer" in said
    assert "tensorrt.onnx: layer.0.attention.softmax is float, left so by the quantizer" in said
    assert "parses, types and fuses as meant; not the speed" in said


def test_what_the_quantizer_left_float_fails_by_name_unless_it_is_allowed(tmp_path, monkeypatch, capsys):
    answer(monkeypatch, None)
    assert run(tmp_path, "--target", "jetson") == 1
    said = capsys.readouterr().err
    assert "tensorrt.onnx: layer.0.ffn.out.matmul: left float by the quantizer" in said
    assert "tensorrt.onnx: layer.0.attention.softmax: left float by the quantizer" in said
    assert "--allow-float accepts" in said


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("jetson-agx-orin", "for SM86, in place of Orin's 8.7"),
        ("jetson-thor", "for SM120, in place of Thor's 11.0"),
    ],
)
def test_the_target_chooses_what_is_built_for_and_the_output_says_so(
    tmp_path, monkeypatch, capsys, target, said
):
    answer(monkeypatch, None)
    assert run(tmp_path, "--target", target, "--allow-float") == 0
    assert said in capsys.readouterr().out


def test_a_node_that_is_not_int8_is_named_with_exit_1(tmp_path, monkeypatch, capsys):
    answer(monkeypatch, "the engine multiplies Half (profile 0)")
    assert run(tmp_path, "--target", "jetson", "--json") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ready"] is False
    assert "tensorrt.onnx: layer.0.ffn.in.matmul: the engine multiplies Half (profile 0)" in printed.err


def answer_cpu(
    monkeypatch: pytest.MonkeyPatch, *judged: fusion.PartFinding, left_float: tuple[str, ...] = ()
) -> None:
    def check(bundle: Path, engines: list[str]) -> tuple[cpu.CpuKernelCheck, ...]:
        return tuple(cpu.CpuKernelCheck(name, "1.0", judged, left_float, 9, True) for name in engines)

    monkeypatch.setattr(cpu, "check", check)


MATMUL = fusion.PartFinding("layer.0.ffn.in.matmul", fusion.GraphPart.MATMUL)


@pytest.mark.parametrize("chosen", [("--target", "cpu"), ()], ids=["chosen", "of the bundle"])
def test_a_target_without_tensorrt_is_checked_on_its_own_engines(tiny_bundle, chosen, capsys):
    assert run(tiny_bundle, *chosen, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["target"] == "cpu"
    counts = {each["engine"]: each["counts"] for each in printed["engines"]}
    assert counts["onnxruntime"]["GELU"] == {"as_demanded": 2, "demanded": 2}
    assert counts["openvino"]["attention"] == {"as_demanded": 2, "demanded": 2}


def test_a_cpu_check_says_what_the_graph_demands_and_what_there_is(tiny_bundle, monkeypatch, capsys):
    answer_cpu(monkeypatch, MATMUL)
    assert run(tiny_bundle, "--target", "arm") == 0, "the bundle's OpenVINO does not run there"
    said = capsys.readouterr().out
    assert "1 of 1 int8 matmuls" in said
    assert "openvino" not in said


@pytest.mark.parametrize("what", ["problem", "unknown"])
def test_a_cpu_check_names_engine_and_node_with_exit_1(tiny_bundle, monkeypatch, capsys, what):
    answer_cpu(monkeypatch, dataclasses.replace(MATMUL, **{what: "it is so"}))
    assert run(tiny_bundle, "--target", "cpu") == 1
    printed = capsys.readouterr()
    assert "layer.0.ffn.in.matmul (int8 matmul): it is so" in printed.out
    assert "onnxruntime 1.0: " in printed.err
    assert "openvino 1.0: " in printed.err


def test_a_cpu_check_refuses_what_the_quantizer_left_float_unless_it_is_allowed(
    tiny_bundle, monkeypatch, capsys
):
    answer_cpu(monkeypatch, MATMUL, left_float=("layer.0.ffn.out.matmul",))
    assert run(tiny_bundle, "--target", "cpu") == 1
    assert "left float by the quantizer: layer.0.ffn.out.matmul" in capsys.readouterr().err
    assert run(tiny_bundle, "--target", "cpu", "--allow-float") == 0
    assert "layer.0.ffn.out.matmul is float, left so by the quantizer" in capsys.readouterr().out


def test_float32_engines_are_compared_for_tensorrt_alone(tiny_bundle, capsys):
    assert run(tiny_bundle, "--target", "cpu", "--compare-fp32") == 2
    assert "'cpu' runs none" in capsys.readouterr().err


def test_a_bundle_with_no_engine_of_the_target_is_refused(make_bundle, tiny_checkpoint, capsys):
    bundle = make_bundle(tiny_checkpoint, ("openvino",))
    assert run(bundle, "--target", "arm") == 2
    assert "built for openvino, of which 'arm' runs none" in capsys.readouterr().err
