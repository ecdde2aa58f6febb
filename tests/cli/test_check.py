"""``edgeroberta check``: what it prints and its exit codes; the engines are built in tests/readiness."""

from __future__ import annotations

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
    findings = (Finding(matmul, problem), Finding(kept, None))
    one = checking.Checked("tensorrt", "tensorrt.onnx", findings, 9, 1, 1, 5_000_000, 6_000_000, 1.5)
    result = checking.Readiness("TensorRT-RTX 1.7", "SM86", (one,))
    monkeypatch.setattr(checking, "check", lambda bundle, **others: result)


def test_a_ready_bundle_says_what_that_proves_and_what_the_quantizer_left_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, None)
    assert run(tmp_path) == 0
    said = capsys.readouterr().out
    assert "tensorrt.onnx: layer.0.ffn.out.matmul is float, as the quantizer left it" in said
    assert "parses, types and fuses as meant; not the speed" in said


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
