from __future__ import annotations

import importlib
import importlib.util

import pytest

from edgeroberta.backends import BUILDERS
from edgeroberta.errors import UnavailableError, UsageError
from edgeroberta.runtime import session
from edgeroberta.runtime.session import ENGINES, choose_engine


@pytest.fixture
def installed(monkeypatch):
    """A set of the engines that seem to be installed."""
    names = set(ENGINES)
    monkeypatch.setattr(session, "installed", names.__contains__)
    return names


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_has_its_two_files(name):
    engine = ENGINES[name]
    runtime = importlib.import_module(f"edgeroberta.runtime.{engine.module}")
    assert callable(getattr(runtime, engine.opener))
    module, function = BUILDERS[name]
    assert callable(getattr(importlib.import_module(f"edgeroberta.backends.{module}"), function))


def test_every_engine_has_its_extra():
    from importlib.metadata import metadata

    assert {engine.extra for engine in ENGINES.values()} <= set(
        metadata("edgeroberta").get_all("Provides-Extra")
    )


def test_the_first_engine_that_is_installed_is_chosen(installed):
    assert choose_engine(None, ("openvino", "onnxruntime")) == "openvino"
    installed.remove("openvino")
    assert choose_engine(None, ("openvino", "onnxruntime")) == "onnxruntime"


def test_the_engine_that_is_preferred_here_comes_first_unless_another_is_asked_for(installed):
    offered = ("openvino", "onnxruntime")
    assert choose_engine(None, offered, preferred="onnxruntime") == "onnxruntime"
    assert choose_engine("openvino", offered, preferred="onnxruntime") == "openvino"
    installed.remove("onnxruntime")
    assert choose_engine(None, offered, preferred="onnxruntime") == "openvino"
    assert choose_engine(None, offered, preferred="tensorrt") == "openvino"


def test_an_engine_without_its_gpu_is_passed_over_unless_it_is_asked_for(installed, monkeypatch):
    from edgeroberta.runtime import driver

    offered = ("tensorrt", "onnxruntime")
    monkeypatch.setattr(driver, "driver_version", lambda: None)
    assert choose_engine(None, offered) == "onnxruntime"
    assert choose_engine(None, offered, preferred="tensorrt") == "onnxruntime"
    assert choose_engine("tensorrt", offered) == "tensorrt"
    assert choose_engine(None, ("tensorrt",)) == "tensorrt"
    monkeypatch.setattr(driver, "driver_version", lambda: (12, 6))
    assert choose_engine(None, offered) == "tensorrt"


def test_either_of_two_packages_is_enough(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name == "tensorrt_rtx" else None)
    assert session.installed("tensorrt")
    assert not session.installed("onnxruntime")


def test_the_engine_asked_for_is_never_replaced(installed):
    installed.remove("openvino")
    with pytest.raises(UnavailableError) as caught:
        choose_engine("openvino", ("onnxruntime", "openvino"))
    assert (caught.value.code, caught.value.exit_code) == ("unavailable.extra", 4)
    assert "'openvino'" in caught.value.what


def test_no_engine_at_all_is_told_with_the_pip_line(installed):
    installed.clear()
    with pytest.raises(UnavailableError) as caught:
        choose_engine(None, ("onnxruntime", "openvino"))
    assert caught.value.code == "unavailable.extra"
    assert "[onnxruntime]" in str(caught.value.hint)


def test_an_engine_the_bundle_was_not_built_for_is_refused(installed):
    with pytest.raises(UsageError) as caught:
        choose_engine("openvin", ("onnxruntime", "openvino"))
    assert str(caught.value) == (
        "engine: the bundle was not built for 'openvin', only for onnxruntime, openvino; "
        "did you mean 'openvino'?"
    )
    assert caught.value.exit_code == 2


def test_engines_of_a_later_version_are_told(installed):
    with pytest.raises(UnavailableError) as caught:
        choose_engine(None, ("hexagon",))
    assert caught.value.what == "this version knows none of the bundle's engines (hexagon)"
    assert choose_engine(None, ("hexagon", "onnxruntime")) == "onnxruntime"


def test_an_installed_package_is_seen_without_importing_it():
    assert session.installed("onnxruntime")
