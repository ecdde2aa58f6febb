from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeroberta import backends
from edgeroberta.backends import sharing
from edgeroberta.measure.subjects import engine_bytes
from edgeroberta.roberta.graph import build_graph, write_float
from edgeroberta.roberta.weights import load_weights
from edgeroberta.runtime.session import ENGINES


@pytest.fixture
def graph(tiny_checkpoint, tmp_path) -> Path:
    folder = tmp_path / "graph"
    folder.mkdir()
    write_float(tiny_checkpoint, folder / "model.onnx")
    return folder


def build(graph: Path, output: Path) -> None:
    output.mkdir()
    for engine in ("onnxruntime", "openvino"):
        backends.build(engine, graph, output, share_weights=True)


def test_the_weights_are_the_same_beside_the_graph_and_aligned(graph, tmp_path):
    build(graph, tmp_path / "out")
    inside = onnx.load(graph / "model.onnx")
    beside = onnx.load(tmp_path / "out/model.onnx")
    assert [tensor.name for tensor in beside.graph.initializer] == [t.name for t in inside.graph.initializer]
    for one, other in zip(inside.graph.initializer, beside.graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(one), numpy_helper.to_array(other))
    bare = onnx.load(tmp_path / "out/model.onnx", load_external_data=False)
    offsets = [
        int(entry.value)
        for tensor in bare.graph.initializer
        for entry in tensor.external_data
        if entry.key == "offset"
    ]
    assert len(offsets) > 10
    assert not any(offset % sharing.ALIGNMENT for offset in offsets)


def test_both_engines_together_need_the_bytes_of_one(graph, tmp_path):
    build(graph, tmp_path / "out")
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["model.onnx", "model.onnx_data"]
    total = sum((tmp_path / "out" / name).stat().st_size for name in names)
    # Names and places of the tensors come to it, and what alignment leaves empty.
    assert total < (graph / "model.onnx").stat().st_size + 12_000
    for engine in ("onnxruntime", "openvino"):
        assert engine_bytes(tmp_path / "out", engine) == total


def test_a_large_graph_keeps_the_file_it_has(tiny_checkpoint, tmp_path):
    graph = tmp_path / "graph"
    graph.mkdir()
    build_graph(load_weights(tiny_checkpoint)).builder.save(graph / "model.onnx", inline_limit=0)
    build(graph, tmp_path / "out")
    for name in ("model.onnx", "model.onnx_data"):
        assert (tmp_path / "out" / name).read_bytes() == (graph / name).read_bytes()


def test_openvino_runs_its_own_files_where_a_bundle_has_both():
    engine = ENGINES["openvino"]
    assert engine.files_in({"model.onnx"}) == ("model.onnx",)
    assert engine.files_in({"model.onnx", *engine.files}) == engine.files
    assert engine.files_in(set()) == engine.files, "what is missing is told by its own name"
    assert engine.files_in({"model.onnx", "openvino_model.bin"}) == ("model.onnx",)
