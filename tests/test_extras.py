"""Extras: what is missing is said with the line that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgeroberta import extras
from edgeroberta.errors import UnavailableError


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


def test_every_extra_is_one_of_pyproject():
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    declared = text[text.index("[project.optional-dependencies]") : text.index("[project.scripts]")]
    for extra in extras.EXTRAS:
        assert f"\n{extra} = [" in declared, extra
