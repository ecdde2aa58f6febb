"""``edgeroberta check``: what it prints and its exit codes; the engines are built in tests/readiness."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from edgeroberta.cli import main
from edgeroberta.readiness import checking
from edgeroberta.readiness.comparison import Finding
from edgeroberta.readiness.expectation import Expected


def run(*arguments: Any) -> int:
    try:
        main(["check", *map(str, arguments)])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def answer(monkeypatch: pytest.MonkeyPatch, problem: str | None) -> None:
    matmul = Expected("layer.0.ffn.in.matmul", False, True, ("layer.0.ffn.in.matmul",))
    kept = Expected("layer.0.ffn.out.matmul", False, False, ("layer.0.ffn.out.matmul",))
    attention = Expected("layer.0.attention.softmax", True, False, ("scores", "context"))
    findings = (Finding(matmul, problem), Finding(kept, None), Finding(attention, None))
    one = checking.Checked("tensorrt", "tensorrt.onnx", findings, 9, 1, 1, 5_000_000, 6_000_000, 1.5)
    result = checking.Readiness("TensorRT-RTX 1.7", "SM86", (one,))

    def check(
        bundle: Path, *, allow_float: bool, compute_capability: str, **others: Any
    ) -> checking.Readiness:
        return dataclasses.replace(result, allow_float=allow_float, compute_capability=compute_capability)

    monkeypatch.setattr(checking, "check", check)


def test_a_ready_bundle_says_what_that_proves_and_what_the_quantizer_left_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, None)
    assert run(tmp_path, "--allow-float") == 0
    said = capsys.readouterr().out
    assert "tensorrt.onnx: layer.0.ffn.out.matmul is float, left so by the quantizer" in said
    assert "tensorrt.onnx: layer.0.attention.softmax is float, left so by the quantizer" in said
    assert "parses, types and fuses as meant; not the speed" in said


def test_what_the_quantizer_left_float_fails_by_name_unless_it_is_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, None)
    assert run(tmp_path) == 1
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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
    said: str,
) -> None:
    answer(monkeypatch, None)
    assert run(tmp_path, "--target", target, "--allow-float") == 0
    assert said in capsys.readouterr().out


def test_a_node_that_is_not_int8_is_named_with_exit_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, "the engine multiplies Half (profile 0)")
    assert run(tmp_path, "--json") == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["ready"] is False
    assert "tensorrt.onnx: layer.0.ffn.in.matmul: the engine multiplies Half (profile 0)" in printed.err


def test_a_target_without_tensorrt_is_refused_with_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--target", "arm") == 2
    assert "'arm' runs no TensorRT" in capsys.readouterr().err
