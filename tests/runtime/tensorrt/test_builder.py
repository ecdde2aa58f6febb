"""Building engines: the library that is found, profiles, options, and what is said when it fails."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fake_tensorrt import RTX, VERSIONS, FakeTensorRt
from tensorrt_bundles import graph

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.tensorrt import library
from edgeroberta.runtime.tensorrt.builder import (
    BuildOptions,
    OptimizationProfile,
    build,
    optimization_profiles,
)

PROFILES = optimization_profiles(Lengths((16,), (512,)))
DOCTOR = Path(__file__).parents[3] / "edgeroberta" / "check" / "doctor_graph"
real = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)


@pytest.fixture
def toy(tmp_path):
    return graph(tmp_path / "tensorrt.onnx", quantized=True)


def test_frequent_lengths_share_a_profile_and_the_longer_ones_another():
    assert optimization_profiles(Lengths((16, 48), (64, 128, 512), most=16), batch=4) == (
        OptimizationProfile(16, 16, 48, 4),
        OptimizationProfile(49, 64, 512, 4),
    )
    assert optimization_profiles(Lengths((64,), ())) == (OptimizationProfile(64, 64, 64),)


def test_kernels_are_chosen_for_the_middle_length_where_nothing_is_known_of_texts():
    assert optimization_profiles(Lengths((16, 32, 64), ()))[0] == OptimizationProfile(16, 32, 64)


def test_tensorrt_comes_before_rtx_which_does_where_it_is_alone(every):
    found = library.find()
    assert found.rtx == every.rtx
    assert found.title == f"TensorRT{'-RTX' if every.rtx else ''} {every.version}"


def test_neither_is_told_with_both_ways_to_get_it(fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(UnavailableError) as caught:
        library.find()
    assert caught.value.what == (
        "TensorRT engines need the package 'tensorrt' or 'tensorrt_rtx', which is not installed"
    )
    assert "sudo apt-get install python3-libnvinfer" in caught.value.hint
    assert "pip install 'edgeroberta[tensorrt]'" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libnvinfer.so.10: cannot open shared object file"),
        ModuleNotFoundError("No module named 'tensorrt_bindings'", name="tensorrt_bindings"),
        OSError("libcudart.so.12"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_not_taken_for_a_missing_one(fake, monkeypatch, error):
    def refuse(name: str) -> ModuleType:
        raise error

    monkeypatch.setattr(library.importlib, "import_module", refuse)
    with pytest.raises(UnavailableError, match="TensorRT is installed but cannot be loaded"):
        library.find()


def test_building_sets_what_it_is_asked_for(every, toy):
    options = BuildOptions(PROFILES, workspace_bytes=64 << 20, optimization_level=1)
    built = build(library.find(), toy, options)
    assert built.plan
    assert built.seconds > 0
    done = every.builds[0]
    assert (done["workspace"], done["level"], done["detailed"]) == (64 << 20, 1, True)
    assert done["profiles"][1]["attention_mask"] == [[1, 17], [1, 512], [8, 512]]
    assert bool(built.timing_cache) != every.rtx


def test_options_that_are_not_given_are_the_library_s_own(fake, toy):
    build(library.find(), toy, BuildOptions(PROFILES, detailed=False))
    assert (fake.builds[0]["workspace"], fake.builds[0]["level"], fake.builds[0]["detailed"]) == (
        None,
        3,
        False,
    )


def test_another_gpu_can_be_built_for_with_rtx(toy):
    with FakeTensorRt(RTX, rtx=True).installed():
        assert build(library.find(), toy, BuildOptions(PROFILES, compute_capability="SM86")).plan


def test_the_parser_s_errors_are_all_told_with_their_nodes(every, tmp_path):
    import onnx

    file = graph(tmp_path / "tensorrt.onnx")
    model = onnx.load(file)
    for name in ("odd", "odder"):
        model.graph.node.append(onnx.helper.make_node("Unsupported", ["mask"], [name], name=f"layer/{name}"))
    onnx.save(model, file)
    with pytest.raises(EngineError) as caught:
        build(library.find(), file, BuildOptions(PROFILES))
    assert caught.value.where == str(file)
    assert caught.value.what.endswith(
        " refuses the graph: No importer registered (node layer/odd, Unsupported); "
        "No importer registered (node layer/odder, Unsupported)"
    )


def test_a_file_that_is_no_graph_is_refused(every, tmp_path):
    (tmp_path / "tensorrt.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match="refuses the graph: Failed to parse the ONNX model"):
        build(library.find(), tmp_path / "tensorrt.onnx", BuildOptions(PROFILES))


def test_a_failed_build_tells_the_library_s_last_errors(every, toy):
    every.fails_to_build = True
    with pytest.raises(
        EngineError, match="cannot build an engine: Error Code 10: Could not find any"
    ) as caught:
        build(library.find(), toy, BuildOptions(PROFILES))
    assert caught.value.where == str(toy)


def test_shapes_that_do_not_fit_are_refused(fake, toy, monkeypatch):
    import fake_tensorrt

    config = fake_tensorrt._config

    def refusing(given):
        made = config(given)
        made.add_optimization_profile = lambda profile: -1
        return made

    monkeypatch.setattr(fake_tensorrt, "_config", refusing)
    with pytest.raises(EngineError, match="do not fit the graph's inputs"):
        build(library.find(), toy, BuildOptions(PROFILES))


def test_the_fakes_lack_what_their_versions_lack():
    has = {version: vars(FakeTensorRt(version).module) for version in VERSIONS}
    assert hasattr(has["10.3.0"]["BuilderFlag"], "INT8")
    assert not hasattr(has["11.4.0"]["BuilderFlag"], "INT8")
    assert "IInt8EntropyCalibrator2" not in has["11.4.0"]
    assert "CudaGraphStrategy" not in has["10.16.0"]


@real
@pytest.mark.parametrize("file", ["tensorrt.onnx", "model_fp16.onnx"])
def test_tensorrt_rtx_really_builds_both_forms_without_a_gpu(file):
    import tensorrt_rtx

    found = library.TensorRtLibrary(tensorrt_rtx, "tensorrt_rtx", tensorrt_rtx.__version__)
    profiles = optimization_profiles(Lengths((8, 16), (64,)))
    built = build(
        found,
        DOCTOR / file,
        BuildOptions(profiles, workspace_bytes=64 << 20, optimization_level=2, least="VERBOSE"),
    )
    assert len(built.plan) > 10_000
    assert built.timing_cache == b""
    layers = [message.text for message in built.messages if message.text.startswith("Layers:")]
    assert ("Datatype: Int8" in layers[-1]) == (file == "tensorrt.onnx")


@real
def test_tensorrt_rtx_s_own_words_are_told_when_it_refuses(tmp_path):
    import tensorrt_rtx

    found = library.TensorRtLibrary(tensorrt_rtx, "tensorrt_rtx", tensorrt_rtx.__version__)
    (tmp_path / "bad.onnx").write_bytes(b"no graph")
    with pytest.raises(EngineError, match=r"refuses the graph: .*Failed to parse the ONNX model"):
        build(found, tmp_path / "bad.onnx", BuildOptions(PROFILES))
