"""Graphs of other programs are found, and none is taken in place of another."""

from __future__ import annotations

import shutil

import exported_folders
import pytest

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta import exported_graphs, resolving


@pytest.fixture
def folder(tiny_bundle, tmp_path):
    return exported_folders.export(tiny_bundle, tmp_path / "export")


@pytest.mark.parametrize("below", ["", "onnx"])
def test_the_only_graph_of_a_folder_is_taken(folder, below):
    (folder / below).mkdir(exist_ok=True)
    graph = shutil.move(folder / "model.onnx", folder / below / "model_quantized.onnx")
    (folder / "openvino_tokenizer.xml").write_text("<net/>")
    assert exported_graphs.choose(folder, where="here") == (graph, folder)
    assert exported_graphs.choose(graph, where="here") == (graph, folder)


def test_of_several_graphs_none_is_taken_and_all_are_named(folder):
    shutil.copy(folder / "model.onnx", folder / "model_quantized.onnx")
    with pytest.raises(CheckpointError, match=r"model\.onnx, model_quantized\.onnx") as caught:
        exported_graphs.choose(folder, where="--beside x")
    assert (caught.value.code, caught.value.where) == ("checkpoint.graph-choice", "--beside x")
    assert str(folder / "model.onnx") in str(caught.value.hint)
    chosen = folder / "model_quantized.onnx"
    assert exported_graphs.choose(chosen, where="") == (chosen, folder)


def test_a_folder_without_a_graph_and_a_bundle_are_refused(tmp_path, tiny_bundle):
    (tmp_path / "notes.txt").touch()
    for place in (tmp_path, tmp_path / "absent", tmp_path / "notes.txt", tiny_bundle):
        with pytest.raises(CheckpointError) as caught:
            exported_graphs.choose(place, where="here")
        assert caught.value.code == "checkpoint.graph-missing"


def test_an_export_is_told_from_a_checkpoint_and_a_bundle(folder, tiny_bundle, tiny_checkpoint):
    assert exported_graphs.is_export(folder)
    assert exported_graphs.is_export(folder / "model.onnx")
    for place in (tiny_bundle, tiny_checkpoint, folder / "config.json", folder / "absent"):
        assert not exported_graphs.is_export(place)
    (folder / "model.safetensors").touch()  # the checkpoint itself, to which a graph was added
    assert not exported_graphs.is_export(folder)


@pytest.mark.parametrize("graph", ["", "model.onnx"])
def test_an_export_is_refused_where_weights_are_needed(folder, tmp_path, graph):
    for find in (resolving.resolve, resolving.locate):
        with pytest.raises(CheckpointError) as caught:
            find(str(folder / graph), cache=tmp_path)
        assert caught.value.code == "checkpoint.exported"
        assert f"--beside {folder / graph}" in str(caught.value.hint)


def test_what_a_graph_takes_and_gives_is_read_without_an_engine(tiny_bundle, tmp_path):
    ports = (("input_ids", "attention_mask"), ("logits",))
    assert exported_graphs.ports(tiny_bundle / "model.onnx") == ports
    graph = tiny_bundle / "openvino_model.xml"
    assert exported_graphs.ports(graph) == ports
    older = tmp_path / "model.xml"
    older.write_text(graph.read_text().replace("output_names=", "names_that_are_not="))
    given, made = exported_graphs.ports(older)
    assert (given, "logits" in made) == (ports[0], True)
    for name in ("model.onnx", "model.xml"):
        (tmp_path / name).write_text("no graph")
        assert exported_graphs.ports(tmp_path / name) == ((), ())
