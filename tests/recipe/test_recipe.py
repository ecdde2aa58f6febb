"""Recipes: what is accepted, and what is said of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeroberta import recipe, stages
from edgeroberta.errors import RecipeError
from edgeroberta.storage import yamltext

GOOD = """\
schema_version: 1
name: mine
description: For tests
stages:
  - distill: {epochs: 3, weights: {hidden: 0.5}}
  - export: {}
  - quantize: {samples: 64}
  - build: {}
  - verify: {gate: {max_drop: 0.02}}
  - bundle: {}
"""


def write(folder: Path, text: str = GOOD) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def settings(loaded: recipe.Recipe) -> dict[str, Any]:
    return {step.stage.name: step.config for step in loaded.stages}


def test_a_recipe_loads_with_every_default_filled_in(tmp_path):
    loaded = recipe.load(write(tmp_path))
    assert [step.stage.name for step in loaded.stages] == [
        "distill", "export", "quantize", "build", "verify", "bundle",
    ]  # fmt: skip
    assert (loaded.name, loaded.description) == ("mine", "For tests")
    found = settings(loaded)
    assert (found["distill"].epochs, found["distill"].temperature) == (3, 2.0)
    assert (found["distill"].weights.hidden, found["distill"].weights.logits) == (0.5, 1.0)


def test_the_resolved_text_is_a_recipe_that_resolves_to_itself(tmp_path):
    loaded = recipe.load(write(tmp_path), ["quantize.samples=32"])
    again = recipe.load(write(tmp_path, loaded.text))
    assert again.text == loaded.text
    assert [step.config for step in again.stages] == [step.config for step in loaded.stages]


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_loads_and_is_called_as_its_file(name):
    loaded = recipe.load(name)
    assert loaded.name == name
    assert loaded.description
    of_text = all(step.stage.of_text for step in loaded.stages)
    assert loaded.makes == recipe.ORDER[0 if of_text else -1]


@pytest.mark.parametrize("name", recipe.names())
def test_every_line_of_a_shipped_recipe_is_commented(name):
    lines = recipe.locate(name).read_text().splitlines()
    body = lines[next(i for i, line in enumerate(lines) if line.startswith("stages:")) + 1 :]
    for before, line in zip(["", *body], body, strict=False):
        opens = line.strip().endswith(":") and not line.strip().startswith("-")
        commented = "#" in line or before.strip().startswith("#")
        assert commented or opens, f"{name}: {line}"


def test_the_promised_recipes_are_shipped():
    assert {"int8", "int8-distill", "distill", "fp32"} <= set(recipe.names())
    assert {"prune-int8", "tiny", "cascade"} <= set(recipe.names())


def test_a_stage_without_settings_may_be_a_bare_name(tmp_path):
    text = "schema_version: 1\nname: x\nstages: [export, build, verify, bundle]\n"
    assert len(recipe.load(write(tmp_path, text)).stages) == 4


def test_a_number_with_an_exponent_is_a_number():
    assert yamltext.parse("[1e-4, 2E5, 1.5e3, 12, abc]", where="x") == [1e-4, 2e5, 1500.0, 12, "abc"]


def test_keys_are_texts_and_dates_stay_texts():
    found = yamltext.parse("{on: 1, 2: 2024-01-01, null: yes}", where="x")
    assert found == {"on": 1, "2": "2024-01-01", "null": True}


def test_aliases_and_merged_mappings_are_read():
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"
    assert yamltext.parse(text, where="x") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 1, "y": 2},
    }


def _replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


BAD = {
    "an empty file": (
        "",
        "mine.yaml: a recipe is a mapping with schema_version, name, description and stages",
    ),
    "a list": (
        "- export\n",
        "mine.yaml: a recipe is a mapping with schema_version, name, description and stages",
    ),
    "a syntax error": (
        "name: [1\nstages: x\n",
        "mine.yaml:2: not valid YAML: expected ',' or ']', but got ':'",
    ),
    "a tab": (
        "name: x\n\tstages: []\n",
        "mine.yaml:2: not valid YAML: found character '\\t' that cannot start any token",
    ),
    "a key given twice": (
        GOOD + "name: again\n",
        "mine.yaml:11: not valid YAML: the key 'name' is given twice",
    ),
    "a list as a key": (
        "? [schema_version, name]\n: 1\n",
        "mine.yaml:1: not valid YAML: a sequence cannot be a key",
    ),
    "a mapping as the key of a setting": (
        _replaced("{samples: 64}", "{{samples: 64}: 1}"),
        "mine.yaml:7: not valid YAML: a mapping cannot be a key",
    ),
    "a python object": (
        "name: !!python/object/apply:os.system [ls]\n",
        "mine.yaml:1: not valid YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system'",
    ),
    "a type that no setting has": (
        "name: !!binary aGk=\n",
        "mine.yaml:1: not valid YAML: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:binary'",
    ),
    "a number of too many digits": (
        "name: " + "9" * 5_000 + "\n",
        "mine.yaml:1: not valid YAML: not a number",
    ),
    "nesting without end": ("name: " + "[" * 5_000, "mine.yaml: not valid YAML: nested too deep"),
    "aliases that multiply": (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"{to}: &{to} [{', '.join([f'*{of}'] * 10)}]\n"
            for of, to in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "mine.yaml: stands for more than 20,000 values",
    ),
    "an alias inside itself": ("name: &a [*a]\n", "mine.yaml: stands for more than 20,000 values"),
    "a file of megabytes": (
        "# " + "x" * 3_000_000,
        "mine.yaml: 3,000,002 characters, where 200,000 are read at most",
    ),
    "no name": (_replaced("name: mine\n", ""), "mine.yaml: name: this field is required"),
    "no version": (_replaced("schema_version: 1\n", ""), "mine.yaml: schema_version: this field is required"),
    "a newer version": (
        _replaced("schema_version: 1", "schema_version: 2"),
        "mine.yaml: schema_version: written for a newer version (schema 2, this one reads 1)\n"
        "  next: pip install --upgrade edgeroberta",
    ),
    "an unknown top-level field": (
        GOOD + "stage: []\n",
        "mine.yaml: stage: unknown field\n  next: did you mean 'stages'?",
    ),
    "a name that is no text": (
        _replaced("name: mine", "name: 3"),
        "mine.yaml: name: should be a valid string, got 3",
    ),
    "no stages": (
        "schema_version: 1\nname: x\nstages: []\n",
        "mine.yaml: stages: should have at least 1 item, not 0, got []",
    ),
    "an unknown stage": (
        _replaced("- quantize", "- quantise"),
        "mine.yaml: stages[2]: no stage is called 'quantise'\n  next: did you mean 'quantize'?",
    ),
    "a stage unlike any": (
        _replaced("- build: {}", "- zzz: {}"),
        "mine.yaml: stages[3]: no stage is called 'zzz'\n"
        "  next: stages: tokenizer, pretrain, finetune, distill, prune, vocabulary, export, quantize, static,"
        " build, cascade, verify, bundle",
    ),
    "two stages in one item": (
        _replaced("- export: {}", "- {export: {}, build: {}}"),
        "mine.yaml: stages[1]: each stage is one name with its settings, e.g. '- export: {}'",
    ),
    "settings that are a number": (
        _replaced("quantize: {samples: 64}", "quantize: 64"),
        "mine.yaml: stages[2].quantize: settings are a mapping, got 64",
    ),
    "an unknown setting": (
        _replaced("samples: 64", "sampels: 64"),
        "mine.yaml: stages[2].quantize.sampels: unknown field\n  next: did you mean 'samples'?",
    ),
    "an unknown nested setting": (
        _replaced("hidden: 0.5", "hiden: 0.5"),
        "mine.yaml: stages[0].distill.weights.hiden: unknown field\n  next: did you mean 'hidden'?",
    ),
    "a nested setting unlike any": (
        _replaced("max_drop: 0.02", "zzz: 0.02"),
        "mine.yaml: stages[4].verify.gate.zzz: unknown field\n"
        "  next: known fields: max_drop, min_agreement, confidence, min_kept, metric, "
        "min_recall, max_recall_drop, min_cosine, swaps, robustness, slices",
    ),
    "a number out of range": (
        _replaced("epochs: 3", "epochs: 0"),
        "mine.yaml: stages[0].distill.epochs: should be greater than or equal to 1, got 0",
    ),
    "text for a number": (
        _replaced("epochs: 3", "epochs: many"),
        "mine.yaml: stages[0].distill.epochs: should be a valid integer, unable to parse string as an"
        " integer, got 'many'",
    ),
    "a bad choice": (
        _replaced("epochs: 3", "schedule: cosin"),
        "mine.yaml: stages[0].distill.schedule: should be 'cosine', 'linear' or 'constant', got 'cosin'",
    ),
    "a value that no member of a union takes": (
        _replaced("epochs: 3", "layers: most"),
        "mine.yaml: stages[0].distill.layers: should be 'auto' or should be a valid integer, unable to parse"
        " string as an integer or should be a valid number, unable to parse string as a number or should be a"
        " valid list, got 'most'",
    ),
    "weights that are all nothing": (
        _replaced("hidden: 0.5", "logits: 0, hard: 0"),
        "mine.yaml: stages[0].distill.weights: at least one weight must be above 0,"
        " got {'logits': 0, 'hard': 0}",
    ),
    "quantize before export": (
        _replaced("  - export: {}\n", ""),
        "mine.yaml: stages[1].quantize: quantize needs a graph, and no stage before it makes one\n"
        "  next: put '- export: {}' before it",
    ),
    "verify before build": (
        _replaced("  - build: {}\n", ""),
        "mine.yaml: stages[3].verify: verify needs a draft, and no stage before it makes one\n"
        "  next: put '- build: {}' before it",
    ),
    "distill after export": (
        "schema_version: 1\nname: x\nstages: [export, distill, build, verify, bundle]\n",
        "mine.yaml: stages[1].distill: distill makes a checkpoint, but export has made a graph before it\n"
        "  next: put distill before export",
    ),
    "a stage twice": (
        _replaced("- build: {}", "- quantize: {}\n  - build: {}"),
        "mine.yaml: stages[3].quantize: quantize can stand in a recipe only once",
    ),
    "export after quantize": (
        _replaced("- build: {}", "- export: {}\n  - build: {}"),
        "mine.yaml: stages[3].export: export can stand in a recipe only once",
    ),
    "no bundle": (
        _replaced("  - bundle: {}\n", ""),
        "mine.yaml: stages: the recipe makes no bundle\n  next: end it with '- bundle: {}'",
    ),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
def test_a_bad_recipe_is_refused_with_the_path_of_the_field(tmp_path, case):
    text, message = BAD[case]
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, text))
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


def test_a_recipe_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"name: \xff\n")
    with pytest.raises(
        RecipeError, match=r"^mine.yaml: cannot be read: 'utf-8' codec can't decode byte 0xff"
    ):
        recipe.load(str(path))


def test_a_recipe_file_that_is_not_there_is_said():
    with pytest.raises(RecipeError) as caught:
        recipe.load("nowhere/mine.yaml")
    assert str(caught.value) == (
        "nowhere/mine.yaml: no such recipe file\n  next: edgeroberta recipes lists the shipped ones"
    )


def test_a_misspelt_recipe_name_gets_a_suggestion_and_nothing_more():
    with pytest.raises(RecipeError) as caught:
        recipe.load("int8-distil")
    assert str(caught.value) == "no recipe is called 'int8-distil'\n  next: did you mean 'int8-distill'?"


def test_a_recipe_name_unlike_any_gets_the_list():
    with pytest.raises(RecipeError) as caught:
        recipe.load("zzz")
    assert (
        caught.value.hint
        == "shipped recipes: adapt, adapt-int8, cascade, cascade-student, distill, distill-agnostic,"
        " fill-mask-int8, finetune-embeddings, finetune-int8, fp32, from-scratch, int8, int8-distill,"
        " int8-outliers, pretrain-tiny, prune-int8, tiny"
    )


@pytest.mark.parametrize(
    ("override", "stage", "path", "value"),
    [
        ("quantize.samples=32", "quantize", ["samples"], 32),
        ("distill.learning_rate=1e-4", "distill", ["learning_rate"], 1e-4),
        ("distill.layers=[0, 2, 4]", "distill", ["layers"], (0, 2, 4)),
        ("distill.layers=4", "distill", ["layers"], 4),
        ("distill.eval_steps=null", "distill", ["eval_steps"], None),
        ("distill.freeze_embeddings=false", "distill", ["freeze_embeddings"], False),
        ("distill.weights.attention=0.25", "distill", ["weights", "attention"], 0.25),
        ("verify.gate.min_agreement=0.9", "verify", ["gate", "min_agreement"], 0.9),
        ("quantize[0].samples=16", "quantize", ["samples"], 16),
    ],
)
def test_an_override_wins_over_the_file(tmp_path, override, stage, path, value):
    found = settings(recipe.load(write(tmp_path), [override]))[stage]
    for key in path:
        found = getattr(found, key)
    assert found == value


def test_an_override_keeps_its_neighbours_and_the_last_one_wins(tmp_path):
    overrides = ["distill.weights.hard=0.1", "distill.weights.hard=0.2"]
    weights = settings(recipe.load(write(tmp_path), overrides))["distill"].weights
    assert (weights.hidden, weights.hard) == (0.5, 0.2)


BAD_OVERRIDES = {
    "quantize.samples": "--set quantize.samples: an override is written stage.key=value",
    "samples=3": "--set samples=3: an override is written stage.key=value",
    "quantize.=3": "--set quantize.=3: an override is written stage.key=value",
    "quantise.samples=3": (
        "--set quantise.samples=3: this recipe has no stage 'quantise'\n  next: did you mean 'quantize'?"
    ),
    "finetune.epochs=3": (
        "--set finetune.epochs=3: this recipe has no stage 'finetune'\n"
        "  next: stages: distill, export, quantize, build, verify, bundle"
    ),
    "quantize.sampels=3": "--set quantize.sampels=3: unknown field\n  next: did you mean 'samples'?",
    "distill.weights.hiden=1": "--set distill.weights.hiden=1: unknown field\n  next: did you mean 'hidden'?",
    "distill.epochs=0": "--set distill.epochs=0: should be greater than or equal to 1, got 0",
    "distill.epochs.x=1": "--set distill.epochs.x=1: epochs is a single value; it has no key 'x'",
    "quantize[1].samples=1": "--set quantize[1].samples=1: this recipe has no stage 'quantize[1]'",
    "quantize.samples=[1": (
        "--set quantize.samples=[1:1: not valid YAML: expected ',' or ']', but got '<stream end>'"
    ),
}


@pytest.mark.parametrize("override", BAD_OVERRIDES)
def test_a_bad_override_is_blamed_by_name(tmp_path, override):
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path), [override])
    assert str(caught.value) == BAD_OVERRIDES[override]
    assert caught.value.exit_code == 2


def test_an_override_of_a_stage_that_stands_twice_must_say_which(tmp_path):
    text = GOOD.replace("  - export", "  - distill: {epochs: 1}\n  - export")
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, text), ["distill.epochs=5"])
    assert str(caught.value) == (
        "--set distill.epochs=5: this recipe has 2 stages 'distill'\n  next: write distill[0]"
    )
    loaded = recipe.load(write(tmp_path, text), ["distill[1].epochs=5"])
    assert [step.config.epochs for step in loaded.stages[:2]] == [3, 5]  # type: ignore[attr-defined]


def test_a_field_of_the_file_is_not_blamed_on_an_override(tmp_path):
    text = GOOD.replace("samples: 64", "sampels: 64")
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, text), ["quantize.samples=32"])
    assert caught.value.where == "mine.yaml: stages[2].quantize.sampels"


@pytest.mark.parametrize("name", stages.MODULES)
def test_every_setting_of_every_stage_is_described(name):
    from edgeroberta.recipe import stage_settings as known

    for setting in known.of_stage(name):
        assert setting.description.endswith("."), setting.key
        assert setting.kind, setting.key
