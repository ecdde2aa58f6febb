from __future__ import annotations

import errno
import json
from types import SimpleNamespace

import numpy as np
import pytest

from edgeroberta import backends
from edgeroberta.errors import EdgeRobertaError, EngineError, UnavailableError, UsageError
from edgeroberta.roberta.graph import write_float
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import ENGINES, open_session

#: Those that run on any computer.
ENGINES_HERE = tuple(name for name in ENGINES if not ENGINES[name].on_device)


@pytest.fixture
def graph(tiny_checkpoint, tmp_path):
    folder = tmp_path / "graph"
    folder.mkdir()
    write_float(tiny_checkpoint, folder / "model.onnx")
    return folder


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("engine", ENGINES_HERE)
def test_each_engine_builds_the_files_that_its_session_opens(graph, output, engine):
    written = backends.build(engine, graph, output)
    assert written == ENGINES[engine].files
    assert sorted(written) == sorted(file.name for file in output.iterdir())
    session = open_session(engine, output, threads=1, lengths=Lengths((16,), (512,)))
    ids = np.full((1, 16), 5)
    assert session.run(ids, np.ones_like(ids)).shape == (1, 2)


def test_building_leaves_the_graph_as_it_was(graph, output):
    before = (graph / "model.onnx").read_bytes()
    for engine in ENGINES_HERE:
        backends.build(engine, graph, output)
    assert (graph / "model.onnx").read_bytes() == before
    assert [file.name for file in graph.iterdir()] == ["model.onnx"]


def test_nothing_of_this_machine_is_written_into_the_openvino_model(graph, output):
    backends.build("openvino", graph, output)
    assert str(graph.parent) not in (output / "openvino_model.xml").read_text(encoding="utf-8")


def test_openvino_keeps_float_weights_whole(graph, output):
    backends.build("openvino", graph, output)
    assert 'element_type="f16"' not in (output / "openvino_model.xml").read_text(encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES_HERE)
def test_an_engines_own_graph_is_preferred(graph, output, engine):
    own = graph / f"model.{engine}.onnx"
    (graph / "model.onnx").rename(own)
    (graph / "model.onnx").write_bytes(b"another graph")
    assert backends.source_graph(engine, graph) == own
    assert backends.build(engine, graph, output) == ENGINES[engine].files
    assert (output / "model.onnx").exists() == ("model.onnx" in ENGINES[engine].files)


def test_external_weights_travel_along(graph, output):
    import onnx

    model = onnx.load(graph / "model.onnx")
    onnx.save(model, graph / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    assert backends.build("onnxruntime", graph, output) == ("model.onnx", "model.onnx_data")
    session = open_session("onnxruntime", output, threads=1, lengths=Lengths((512,), ()))
    assert session.run(np.full((1, 4), 5), np.ones((1, 4), np.int64)).shape == (1, 2)


def test_external_weights_of_an_engines_own_graph_get_the_usual_name(graph, output):
    import onnx

    model = onnx.load(graph / "model.onnx")
    own = "model.onnxruntime.onnx"
    onnx.save(model, graph / own, save_as_external_data=True, location=f"{own}_data")
    assert backends.build("onnxruntime", graph, output) == ("model.onnx", "model.onnx_data")
    assert sorted(file.name for file in output.iterdir()) == ["model.onnx", "model.onnx_data"]
    session = open_session("onnxruntime", output, threads=1, lengths=Lengths((512,), ()))
    assert session.run(np.full((1, 4), 5), np.ones((1, 4), np.int64)).shape == (1, 2)


def test_shared_weights_are_those_of_the_graph_that_both_engines_read(graph, output):
    (graph / "model.onnxruntime.onnx").write_bytes(b"what OpenVINO does not read")
    for engine in ("onnxruntime", "openvino"):
        assert backends.build(engine, graph, output, share_weights=True) == ("model.onnx", "model.onnx_data")
    session = open_session("openvino", output, threads=1, lengths=Lengths((16,), ()))
    assert session.run(np.full((1, 16), 5), np.ones((1, 16), np.int64)).shape == (1, 2)


def test_a_folder_without_graph_is_refused(output):
    for engine in ENGINES_HERE:
        with pytest.raises(EdgeRobertaError) as caught:
            backends.build(engine, output, output)
        assert str(caught.value) == (
            f"{output}: no model.onnx to build from\n  next: run the recipe's export stage again"
        )


def test_openvino_says_which_graph_it_refuses(graph, output):
    (graph / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"model.onnx: OpenVINO refuses the graph: "):
        backends.build("openvino", graph, output)


def test_all_engines_here_can_be_built_for():
    backends.require(tuple(ENGINES))


def test_an_unknown_engine_is_refused():
    with pytest.raises(UsageError) as caught:
        backends.require(("onnxruntime", "opnvino"))
    assert str(caught.value) == (
        f"engines: there is no engine 'opnvino' (engines: {', '.join(ENGINES)})\n"
        "  next: did you mean 'openvino'?"
    )


def test_building_for_tensorrt_needs_no_tensorrt(monkeypatch):
    monkeypatch.setattr(backends, "installed", lambda name: False)
    backends.require(("tensorrt", "tensorrt-fp16"))


@pytest.mark.parametrize(
    ("engine", "source", "name"),
    [
        ("tensorrt", "model.tensorrt.onnx", "tensorrt.onnx"),
        ("tensorrt-fp16", "model.fp16.onnx", "model_fp16.onnx"),
    ],
)
def test_the_graphs_for_tensorrt_travel_with_their_weights(graph, output, engine, source, name):
    import onnx

    model = onnx.load(graph / "model.onnx")
    onnx.save(model, graph / source, save_as_external_data=True, location=f"{source}_data")
    assert backends.build(engine, graph, output) == (name, f"{name}_data")
    copied = onnx.load(output / name)  # finds its weights under their new name
    weight = {t.name: t.raw_data for t in copied.graph.initializer}["layer.0.ffn.in.weight"]
    assert (
        weight
        == {t.name: t.raw_data for t in onnx.load(graph / "model.onnx").graph.initializer}[
            "layer.0.ffn.in.weight"
        ]
    )


def test_a_graph_that_was_not_made_for_tensorrt_is_named(graph, output):
    with pytest.raises(EdgeRobertaError, match=r"no model\.tensorrt\.onnx to build from") as caught:
        backends.build("tensorrt", graph, output)
    assert "--target jetson" in str(caught.value)


def test_a_float_recipe_leaves_the_int8_engine_out(graph):
    engines = ("tensorrt", "tensorrt-fp16", "onnxruntime")
    assert backends.buildable(engines, graph) == ("tensorrt-fp16", "onnxruntime")
    (graph / "model.tensorrt.onnx").touch()
    assert backends.buildable(engines, graph) == engines


def test_a_missing_package_is_told_before_hours_of_work(monkeypatch):
    monkeypatch.setattr(backends, "installed", "onnxruntime".__eq__)
    with pytest.raises(UnavailableError) as caught:
        backends.require(("onnxruntime", "openvino"))
    assert str(caught.value) == (
        "building for openvino needs the package 'openvino', which is not installed\n"
        "  next: pip install 'edgeroberta[openvino]'"
    )


def test_bundles_keep_the_names_that_optimum_looks_for(tiny_bundle):
    assert {"model.onnx", "openvino_model.xml", "openvino_model.bin", "config.json"} <= {
        file.name for file in tiny_bundle.iterdir()
    }
    config = json.loads((tiny_bundle / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["RobertaForSequenceClassification"]
    assert config["id2label"] == {"0": "negative", "1": "positive"}


def test_a_disk_that_openvino_finds_full_is_told_as_one(graph, tmp_path, monkeypatch):
    def fail(*arguments, **others):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr("openvino.save_model", fail)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1 << 40))
    with pytest.raises(EngineError, match="OpenVINO cannot write its files: basic_ios"):
        backends.build("openvino", graph, tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(OSError, match="No space left on device") as caught:
        backends.build("openvino", graph, tmp_path)
    assert caught.value.errno == errno.ENOSPC
