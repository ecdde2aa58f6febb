from __future__ import annotations

import pytest

from edgeroberta import targets
from edgeroberta.errors import UsageError
from edgeroberta.runtime.session import ENGINES


def test_the_targets_are_those_of_the_documentation():
    assert targets.names() == ("arm", "cpu", "cpu-avx2", "intel-cpu", "jetson")


@pytest.mark.parametrize("name", targets.names())
def test_every_target_is_complete(name):
    found = targets.load(name)
    assert found.name == name
    assert found.description
    assert found.engines
    assert found.threads >= 1


@pytest.mark.parametrize("name", targets.names())
def test_every_engine_of_a_local_target_is_known(name):
    found = targets.load(name)
    assert found.remote or set(found.engines) <= set(ENGINES)


def test_the_preferred_engine_comes_first():
    assert targets.load("cpu").engines == ("onnxruntime", "openvino")
    assert targets.load("intel-cpu").engines == ("openvino", "onnxruntime")
    assert targets.load("jetson").remote


def test_int8_saturates_on_the_processors_without_vnni_alone():
    assert [name for name in targets.names() if targets.load(name).saturating] == ["cpu-avx2"]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("intel_cpu", "did you mean 'intel-cpu'?"), ("toaster", "edgeroberta targets"), ("../cpu", None)],
)
def test_an_unknown_target_is_refused(name, hint):
    with pytest.raises(UsageError) as caught:
        targets.load(name)
    assert caught.value.exit_code == 2
    assert caught.value.where == "--target"
    assert (
        caught.value.what == f"there is no target {name!r} (targets: arm, cpu, cpu-avx2, intel-cpu, jetson)"
    )
    assert hint is None or caught.value.hint == hint
