from __future__ import annotations

import pytest

from edgeroberta import targets
from edgeroberta.errors import UsageError
from edgeroberta.runtime.session import ENGINES


def test_the_targets_are_those_of_the_documentation():
    assert targets.names() == NAMES


NAMES = (
    "arm",
    "cpu",
    "cpu-avx2",
    "intel-cpu",
    "jetson",
    "jetson-agx-orin",
    "jetson-orin-nano",
    "jetson-thor",
    "nvidia-gpu",
    "web",
)


@pytest.mark.parametrize("name", targets.names())
def test_every_target_is_complete(name):
    found = targets.load(name)
    assert found.name == name
    assert found.description
    assert found.engines
    assert found.threads >= 1


@pytest.mark.parametrize("name", targets.names())
def test_every_engine_of_a_target_is_known(name):
    found = targets.load(name)
    assert set(found.engines) - {"tensorrt", "tensorrt-fp16"} <= set(ENGINES)


def test_the_preferred_engine_comes_first():
    assert targets.load("cpu").engines == ("onnxruntime", "openvino")
    assert targets.load("intel-cpu").engines == ("openvino", "onnxruntime")
    assert targets.load("jetson").engines == ("tensorrt", "tensorrt-fp16", "onnxruntime")
    assert targets.load("nvidia-gpu").engines[-2:] == ("onnxruntime-cuda", "onnxruntime")


def test_only_the_web_has_a_layout_of_its_own():
    assert [name for name in NAMES if targets.load(name).layout != "plain"] == ["web"]


def test_only_a_processor_without_vnni_saturates():
    assert [name for name in NAMES if targets.load(name).saturating] == ["cpu-avx2"]


def test_members_of_a_family_are_built_for_as_the_family_is():
    members = [found for found in map(targets.load, NAMES) if found.family]
    assert len(members) == 3
    assert all(targets.load(found.family).engines == found.engines for found in members)
    assert all(found.remote for found in members)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("intel_cpu", "did you mean 'intel-cpu'?"), ("toaster", "edgeroberta targets"), ("../cpu", None)],
)
def test_an_unknown_target_is_refused(name, hint):
    with pytest.raises(UsageError) as caught:
        targets.load(name)
    assert caught.value.exit_code == 2
    assert caught.value.where == "--target"
    assert caught.value.what == f"there is no target {name!r} (targets: {', '.join(NAMES)})"
    assert hint is None or caught.value.hint == hint
