"""Extras: what is missing is said with the line that installs it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from edgeroberta import extras
from edgeroberta.errors import UnavailableError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def test_an_extra_that_is_installed_is_not_missing():
    assert extras.missing("compress") == ()
    extras.require("compress", purpose="edgeroberta compress")


def test_a_missing_package_is_said_with_its_pip_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert extras.missing("compress") == ("torch",)
    with pytest.raises(UnavailableError) as caught:
        extras.require("compress", purpose="edgeroberta compress")
    assert str(caught.value) == (
        "edgeroberta compress needs the package 'torch', which is not installed\n"
        "  next: pip install 'edgeroberta[compress]'"
    )
    assert caught.value.exit_code == 4


def test_a_device_needs_numpy_and_tokenizers_and_a_workstation_has_the_command_line():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert [re.split(r"[>=]", each)[0] for each in project["dependencies"]] == [
        "numpy",
        "tokenizers",
        "tomli",
    ]
    offered = project["optional-dependencies"]
    assert set(extras.EXTRAS) <= set(offered)
    for extra in ("compress", "serve", "trt-check", "hub"):
        assert "edgeroberta[cli]" in offered[extra], extra
