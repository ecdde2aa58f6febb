"""``doctor``, ``recipes`` and ``targets``."""

from __future__ import annotations

import json

import pytest

from edgeroberta import cli, recipe, stages, targets
from edgeroberta.runtime.session import ENGINES


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(list(arguments))
    return int(stopped.value.code or 0)


def test_targets_are_listed(capsys):
    assert run("targets") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(targets.names())


def test_targets_as_json(capsys):
    assert run("targets", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == list(targets.names())
    assert found[1]["engines"] == ["onnxruntime", "openvino"]
    assert found[1]["here"] is True
    assert all(not each["here"] for each in found if each["family"] == "jetson")


def test_recipes_are_listed(capsys):
    assert run("recipes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(recipe.names())


def test_recipes_as_json(capsys):
    assert run("recipes", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == list(recipe.names())
    stages = {each["name"]: each["stages"] for each in found}
    assert stages["distill"][0]["stage"] == "distill"


def test_a_recipe_is_shown_with_every_default(capsys):
    assert run("recipes", "int8") == 0
    assert capsys.readouterr().out == recipe.load("int8").text


def test_an_unknown_recipe_is_a_usage_error(capsys):
    assert run("recipes", "int9") == 2
    assert capsys.readouterr() == ("", "error: no recipe is called 'int9'\n  next: did you mean 'int8'?\n")


@pytest.mark.parametrize("name", stages.MODULES)
def test_the_settings_of_a_stage_are_listed(name, capsys):
    assert run("recipes", "--stage", name) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.split() == ["setting", "type", "default", "description"]


def test_the_settings_of_a_stage_as_json(capsys):
    assert run("recipes", "--stage", "distill", "--json") == 0
    found = {each["key"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["weights.hidden"]["default"] == "0.0"
    assert found["schedule"] == {
        "key": "schedule",
        "kind": "cosine | linear | constant",
        "default": '"linear"',
        "description": "How the learning rate falls after warm-up.",
    }
    assert found["layers"]["kind"] == "auto | int | float | list of int"


def test_the_settings_of_an_unknown_stage_are_a_usage_error(capsys):
    assert run("recipes", "--stage", "distil") == 2
    assert capsys.readouterr().err == "error: no stage is called 'distil'\n  next: did you mean 'distill'?\n"


def test_a_recipe_and_a_stage_exclude_each_other(capsys):
    assert run("recipes", "int8", "--stage", "distill") == 2
    assert capsys.readouterr().err == "error: --stage: a recipe and --stage exclude each other\n"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_takes_debug_after_its_name_too(command, capsys):
    assert run(command, "--debug", "--help") == 0
    assert "--debug" in capsys.readouterr().out


def test_the_doctor_lists_every_engine_and_extra(capsys):
    assert run("doctor") == 0
    words = {line.split()[0] for line in capsys.readouterr().out.splitlines() if line}
    assert words >= {*ENGINES, "compress", "demo", "parquet", "hub", "cpu", "memory"}


def test_the_doctor_without_an_engine_exits_4(monkeypatch, capsys):
    import sys

    for name in ENGINES:
        monkeypatch.setitem(sys.modules, name, None)
    assert run("doctor") == 4
    assert "pip install 'edgeroberta[onnxruntime]'" in capsys.readouterr().out
    assert run("doctor", "--json") == 4
    assert json.loads(capsys.readouterr().out)["usable"] is False
