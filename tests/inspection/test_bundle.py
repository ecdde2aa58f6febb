from __future__ import annotations

import json
import math
import shutil
import sys

import fake_bundles
import fake_cascades
import onnx
import pytest

import edgeroberta
from edgeroberta import cli
from edgeroberta.errors import BundleError
from edgeroberta.inspection.bundle import inspect
from edgeroberta.roberta import graph_parts
from edgeroberta.runtime import onnx_outputs


def test_a_bundle_tells_its_task_its_tokenizer_and_its_files(tiny_bundle):
    found = inspect(tiny_bundle)
    assert (found.task, found.labels) == ("single_label_classification", ("negative", "positive"))
    assert (found.tokenizer, found.vocabulary, found.max_length) == ("BPE", 600, 512)
    assert (found.intact, found.damage, found.unknown_files) == (True, None, ())
    sizes = {each.name: each.bytes for each in found.files}
    assert sizes == {
        file.relative_to(tiny_bundle).as_posix(): file.stat().st_size
        for file in tiny_bundle.rglob("*")
        if file.is_file()
    }
    roles = {each.name: each.role for each in found.files}
    assert roles["model.onnx"] == "graph of ONNX Runtime"
    assert roles["goldens.json"] == "answers that every engine must give"


def test_tokens_that_were_added_count_once(make_bundle, tiny_checkpoint):
    folder = make_bundle(tiny_checkpoint)
    file = folder / "tokenizer.json"
    fields = json.loads(file.read_text())
    fields["added_tokens"] += [{"content": "<new>"}, {"content": "<new>"}]
    file.write_text(json.dumps(fields))
    assert inspect(folder).vocabulary == 601


def test_a_card_is_the_bundle_s_though_the_manifest_of_the_hub_does_not_list_it(tmp_path):
    folder = fake_bundles.write(tmp_path)
    assert inspect(folder).unknown_files == ()
    (folder / "README.md").write_text("# A card\n")
    found = inspect(folder)
    assert found.unknown_files == ()
    assert [(each.bytes, each.role) for each in found.files if each.name == "README.md"] == [(9, "card")]


def test_its_parts_are_all_that_the_graph_stores(tiny_bundle):
    graph = onnx.load(str(tiny_bundle / "model.onnx")).graph
    found = inspect(tiny_bundle)
    assert [part.name for part in found.parts] == ["embeddings", "layer.0", "layer.1", "head", "other"]
    stored = sum(len(onnx.numpy_helper.to_array(each).tobytes()) for each in graph.initializer)
    assert sum(part.bytes for part in found.parts) == stored
    learned = [each for each in graph.initializer if each.name.startswith(("layer.", "embeddings", "head"))]
    assert found.parameters == sum(math.prod(each.dims) for each in learned)
    weights = {each.name: each for part in found.parts for each in part.matmuls}
    assert (weights["layer.0.ffn.in"].inputs, weights["layer.0.ffn.in"].outputs) == (32, 64)
    assert {each.type for each in weights.values()} == {"float32"}


def test_stored_tensors_are_those_that_onnx_reads(tiny_bundle):
    graph = onnx.load(str(tiny_bundle / "model.onnx")).graph
    wanted = [(each.name, tuple(each.dims), each.data_type) for each in graph.initializer]
    assert [tuple(each) for each in onnx_outputs.tensors(tiny_bundle / "model.onnx")] == wanted
    assert onnx_outputs.tensors(tiny_bundle / "config.json") == []


def test_what_quantization_stores_beside_weights_is_no_parameter(tmp_path):
    from onnx import TensorProto, helper, save

    stored = {
        "layer.0.ffn.in.weight": ([4, 6], TensorProto.INT8),
        "layer.0.ffn.in.weight_scale": ([6], TensorProto.FLOAT),
        "layer.0.ffn.in.smoothing": ([4], TensorProto.FLOAT),
        "layer.0.ffn.in.bias": ([6], TensorProto.FLOAT),
        "layer.0.ffn.norm.scale": ([4], TensorProto.FLOAT),
        "head.dense.weight": ([4, 2], TensorProto.FLOAT16),
        "embeddings.scale": ([9, 1], TensorProto.FLOAT),
        "embeddings.word": ([9, 4], TensorProto.INT8),
        "index.0": ([1], TensorProto.INT64),
    }
    tensors = [
        helper.make_tensor(name, kind, dims, [0] * math.prod(dims)) for name, (dims, kind) in stored.items()
    ]
    save(helper.make_model(helper.make_graph([], "g", [], [], tensors)), str(tmp_path / "g.onnx"))
    parts = {part.name: part for part in graph_parts.read(tmp_path / "g.onnx")}
    assert list(parts) == ["embeddings", "layer.0", "head", "other"]
    assert {name: part.parameters for name, part in parts.items()} == {
        "embeddings": 36, "layer.0": 24 + 6 + 4, "head": 8, "other": 0,
    }  # fmt: skip
    assert parts["layer.0"].bytes == 24 + 4 * (6 + 4 + 6 + 4)
    assert parts["head"].bytes == 16
    assert [each.type for each in parts["layer.0"].matmuls] == ["int8"]


def test_widths_of_a_pruned_model_are_told_layer_by_layer(make_bundle, tiny_checkpoint, tmp_path):
    folder = make_bundle(tiny_checkpoint)
    fields = json.loads((folder / "config.json").read_text())
    fields["layer_shapes"] = [{"heads": 2, "intermediate": 64}, {"heads": 4, "intermediate": 10}]
    (folder / "config.json").write_text(json.dumps(fields))
    found = inspect(folder)
    assert [(each.heads, each.intermediate) for each in found.layers] == [(2, 64), (4, 10)]
    assert found.damage is not None
    assert "config.json" in found.damage


def test_a_cascade_tells_each_of_its_models(tmp_path):
    fake_cascades.write(tmp_path / "out")
    found = edgeroberta.inspect_bundle(tmp_path / "out")
    assert [name for name, _ in found.inspection.tiers] == ["tiny"]
    assert "tier tiny" in str(found)
    assert found.to_json()["tiers"][0]["name"] == "tiny"
    json.dumps(found.to_json())


def test_files_of_others_are_named_and_changed_ones_end_with_1(make_bundle, tiny_checkpoint, capsys):
    folder = make_bundle(tiny_checkpoint)
    (folder / "notes.txt").write_text("mine")
    assert inspect(folder).unknown_files == ("notes.txt",)
    with (folder / "model.onnx").open("ab") as handle:
        handle.write(b"\0")
    with pytest.raises(SystemExit) as leave:
        cli.main(["inspect", str(folder)])
    said = capsys.readouterr()
    assert leave.value.code == 1
    assert "CHANGED" in said.out
    assert "notes.txt" in said.out
    assert said.err.startswith("error: ")


def test_a_bundle_of_the_hub_is_called_by_its_name_there(tiny_bundle, tmp_path):
    cached = tmp_path / "models--someone--film-reviews" / "snapshots" / "0123456789abcdef"
    shutil.copytree(tiny_bundle, cached)
    title, *_ = str(edgeroberta.inspect_bundle(cached)).splitlines()
    assert title.split() == ["bundle", "someone/film-reviews@0123456"]


def test_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError):
        edgeroberta.inspect_bundle(tmp_path)


def test_nothing_is_needed_that_a_device_lacks(tiny_bundle, monkeypatch, capsys):
    for name in ("onnx", "torch", "onnxruntime", "openvino", "yaml", "jinja2", "pyarrow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemExit) as leave:
        cli.main(["inspect", str(tiny_bundle), "--json"])
    assert leave.value.code in (None, 0)
    fields = json.loads(capsys.readouterr().out)
    assert (fields["kind"], fields["graph"]) == ("edgeroberta-inspection", "model.onnx")
