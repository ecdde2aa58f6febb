"""ONNX Runtime's own format beside the graph: the same answers, and the operators that it needs."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from edgeroberta.backends import ort_format as writer
from edgeroberta.errors import EngineError, RecipeError
from edgeroberta.runtime import Runtime, processor
from edgeroberta.runtime.manifest import check_files, read
from edgeroberta.stages import ort_format
from edgeroberta.stages.build import BuildConfig, build
from edgeroberta.storage.artifact import Kind

IDS = np.array([[0, 7, 8, 9, 10, 2]])


def answers(graph, ids=IDS):
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})


@pytest.fixture(scope="module")
def built(make_build_context, tiny_checkpoint):
    context = make_build_context(tiny_checkpoint)
    return context.output, build(BuildConfig(ort_format=True), context)


def test_a_bundle_has_neither_file_unless_asked(make_bundle, tiny_checkpoint):
    folder = make_bundle(tiny_checkpoint)
    assert not [*folder.glob("*.ort"), *folder.glob("*.config")]


def test_it_gives_the_answers_of_the_graph(built):
    folder, notes = built
    np.testing.assert_array_equal(answers(folder / "model.ort"), answers(folder / "model.onnx"))
    assert notes["ort_format"]["deviation"] < 1e-6


def test_the_manifest_tells_its_size_and_the_notes_both(built):
    folder, notes = built
    files = read(folder).files
    check_files(read(folder))
    assert {"model.ort", "required_operators.config"} <= set(files)
    assert notes["ort_format"]["bytes"] == files["model.ort"].bytes == (folder / "model.ort").stat().st_size
    assert notes["ort_format"]["onnx_bytes"] == (folder / "model.onnx").stat().st_size


def test_the_form_without_optimizations_is_not_shipped(built):
    folder, _ = built
    assert sorted(file.name for file in folder.glob("*.ort")) == ["model.ort"]
    # An operator that only ONNX Runtime's optimizations make, and the graph has not.
    assert b"BiasGelu" not in (folder / "model.onnx").read_bytes()
    assert "BiasGelu" in (folder / "required_operators.config").read_text()


def test_the_list_names_operators_with_their_types_and_no_path(built):
    folder, _ = built
    text = (folder / "required_operators.config").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert {line.split(";")[0] for line in lines} == {"ai.onnx", "com.microsoft"}
    assert all(re.fullmatch(r"[a-z.]+;\d+;\w.*", line) for line in lines)
    assert 'Softmax{"inputs": {"0": ["float"]}}' in text
    assert "/" not in text.replace("build.py --include_ops_by_config", "")


def test_the_list_is_one_that_a_build_reads(built):
    from onnxruntime.tools.reduced_build_config_parser import parse_config

    folder, _ = built
    operators, types = parse_config(str(folder / "required_operators.config"), True)
    assert operators["com.microsoft"][1] == {"BiasGelu"}
    assert types is not None


def test_the_runtime_answers_as_without_it(built):
    folder, _ = built
    with Runtime.open(folder) as runtime:
        assert runtime("great film").label in ("negative", "positive")


def test_writing_it_leaves_the_logging_of_the_process_alone(built):
    assert not [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]


def test_without_the_engine_it_is_refused(make_build_context, tiny_checkpoint):
    with pytest.raises(RecipeError) as caught:
        build(BuildConfig(engines=("openvino",), ort_format=True), make_build_context(tiny_checkpoint))
    assert caught.value.where == "build.ort_format"


def test_other_answers_fail_the_build(make_build_context, tiny_checkpoint, monkeypatch):
    def wrong(folder):
        session = onnxruntime.SessionOptions()
        session.optimized_model_filepath = str(folder / "model.ort")
        session.add_session_config_entry("session.save_model_format", "ORT")
        graph = folder / "shifted.onnx"
        graph.write_bytes(shifted(folder / "model.onnx"))
        onnxruntime.InferenceSession(str(graph), session, providers=["CPUExecutionProvider"])
        graph.unlink()
        return ()

    monkeypatch.setattr(writer, "write", wrong)
    with pytest.raises(EngineError, match=r"model\.ort gives other answers"):
        build(BuildConfig(ort_format=True), make_build_context(tiny_checkpoint))


def shifted(graph) -> bytes:
    """Return a graph whose logits are 1 larger."""
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(str(graph))
    name = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = [f"{each}_before" if each == name else each for each in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.float32(1), "one"))
    model.graph.node.append(helper.make_node("Add", [f"{name}_before", "one"], [name]))
    return model.SerializeToString()


@pytest.mark.parametrize("saturating", [True, False])
def test_where_weights_may_saturate_it_is_said_and_not_asked_there(
    saturating, make_build_context, tiny_checkpoint, monkeypatch
):
    context = make_build_context(tiny_checkpoint)
    graph = context.inputs[Kind.GRAPH]
    notes = {"saturation": {"safe": False, "linear_ops": ["layer.0.ffn"]}}
    quantized = replace(graph, lineage=replace(graph.lineage, stage="quantize", notes=notes))
    said = []
    monkeypatch.setattr(context.progress, "line", said.append)
    monkeypatch.setattr(processor, "saturates", lambda: saturating)
    found = build(BuildConfig(ort_format=True), replace(context, inputs={Kind.GRAPH: quantized}))
    assert any("saturate" in line for line in said)
    assert (found["ort_format"]["deviation"] is None) is saturating


def test_a_graph_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match="cannot write its own format"):
        writer.write(tmp_path)


def test_an_engine_that_is_there_is_enough():
    ort_format.require(["openvino", "onnxruntime"])
