from __future__ import annotations

import importlib

import pytest

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
    assert callable(importlib.import_module(f"edgeroberta.runtime.{ENGINES[name].module}").open)
    assert callable(importlib.import_module(f"edgeroberta.backends.{ENGINES[name].module}").build)


def test_every_engine_has_its_extra():
    from importlib.metadata import metadata

    assert {engine.extra for engine in ENGINES.values()} <= set(
        metadata("edgeroberta").get_all("Provides-Extra")
    )


def test_the_first_engine_that_is_installed_is_chosen(installed):
    assert choose_engine(None, ("openvino", "onnxruntime")) == "openvino"
    installed.remove("openvino")
    assert choose_engine(None, ("openvino", "onnxruntime")) == "onnxruntime"


def test_the_engine_asked_for_is_never_replaced(installed):
    installed.remove("openvino")
    with pytest.raises(UnavailableError) as caught:
        choose_engine("openvino", ("onnxruntime", "openvino"))
    assert str(caught.value) == (
        "this bundle needs the package 'openvino', which is not installed\n"
        "  next: pip install 'edgeroberta[openvino]'"
    )
    assert caught.value.exit_code == 4


def test_no_engine_at_all_is_told_with_the_pip_line(installed):
    installed.clear()
    with pytest.raises(UnavailableError) as caught:
        choose_engine(None, ("onnxruntime", "openvino"))
    assert caught.value.hint == "pip install 'edgeroberta[onnxruntime]'"


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
