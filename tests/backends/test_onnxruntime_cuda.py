from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta import backends
from edgeroberta.errors import EdgeRobertaError


def test_the_float16_graph_and_its_weights_are_copied(tmp_path: Path) -> None:
    graphs, output = tmp_path / "graphs", tmp_path / "bundle"
    graphs.mkdir()
    output.mkdir()
    (graphs / "model.fp16.onnx").write_bytes(b"graph")
    assert backends.build("onnxruntime-cuda", graphs, output) == ("model_fp16.onnx",)
    assert (output / "model_fp16.onnx").read_bytes() == b"graph"
    (graphs / "model.fp16.onnx_data").write_bytes(b"weights")
    assert backends.build("onnxruntime-cuda", graphs, output) == ("model_fp16.onnx", "model.fp16.onnx_data")


def test_a_graph_without_a_float16_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EdgeRobertaError) as caught:
        backends.build("onnxruntime-cuda", tmp_path, tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no model.fp16.onnx to build from\n  next: run the recipe's export stage again"
    )
