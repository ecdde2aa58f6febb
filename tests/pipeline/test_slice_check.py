"""Slices of a recipe that the rows cannot be told apart into are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import DataError, EdgeRobertaError, RecipeError, UsageError
from edgeroberta.pipeline import compression_inputs, job
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest
from edgeroberta.recipe import walk


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(lambda row: ("scots", "irish")[row // 2 % 2])


def write(dialect) -> None:
    lines = [f"film number {row},{('negative', 'positive')[row % 2]},{dialect(row)}" for row in range(120)]
    Path("x.csv").write_text("text,label,dialect\n" + "\n".join(lines) + "\n")


def found(model: Path, *settings: str) -> CompressionInputs:
    overrides = tuple(f"verify.{each}" for each in settings)
    request = CompressionRequest(
        model=str(model),
        data=DataSpec("x.csv"),
        recipe="int8",
        overrides=overrides,
        target="cpu",
        output=Path("out"),
        work=None,
        reference=None,
    )
    return compression_inputs.find(request, recipe.load("int8", overrides))


def test_held_out_rows_keep_the_columns_that_the_recipe_slices_by(tiny_checkpoint):
    kept = found(tiny_checkpoint, "slices.columns=[dialect]", "slices.label=true", "slices.length=true")
    assert set(kept.data.heldout.columns["dialect"]) == {"scots", "irish"}
    assert found(tiny_checkpoint).data.heldout.columns == {}
    assert "slice_columns" not in kept.said["data"]


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        (["slices.columns=[dialekt]"], DataError, "x.csv: no column 'dialekt' to tell rows apart by"),
        (["slices.columns=[text]"], DataError, "x.csv: column 'text' has 120 different values in 120 rows"),
        (["slices.length=[5000]"], DataError, "x.csv: no row has 5000+ characters"),
        (["slices.words=none.txt"], DataError, "none.txt: no such file of words"),
        (["slices.columns=[dialect,dialect]"], RecipeError, "names a column twice"),
        (["slices.column=dialect"], RecipeError, "did you mean 'columns'?"),
        (["slices.length=[40,20]"], RecipeError, "each larger than the one before"),
        (["gate.slices.max_drop=0.03"], RecipeError, "the gate bounds slices, and none are asked for"),
        (["slices.label=true", "gate.slices.max_drop=3"], RecipeError, "less than or equal to 1"),
        (["slices.label=true", "gate.slices.max_drop=-0.1"], RecipeError, "greater than or equal to 0"),
        (["slices.label=true", "gate.slices={max_drop: null}"], RecipeError, "max_drop or a min_agreement"),
    ],
)
def test_slices_that_make_no_sense_are_refused_before_anything_runs(tiny_checkpoint, settings, kind, said):
    with pytest.raises(kind) as caught:
        found(tiny_checkpoint, *settings)
    assert said in str(caught.value)
    assert caught.value.exit_code == 2


def test_words_that_no_held_out_row_has_are_refused(tiny_checkpoint):
    Path("w.txt").write_text("she: she, her\n")
    with pytest.raises(DataError, match="no row has a word of the list 'she'"):
        found(tiny_checkpoint, "slices.words=w.txt")


def test_slices_by_label_of_a_task_without_name_the_place_in_the_recipe(tiny_regression_checkpoint):
    lines = [f"film number {row},{row % 7}.5" for row in range(60)]
    Path("x.csv").write_text("text,label\n" + "\n".join(lines) + "\n")
    with pytest.raises(UsageError) as caught:
        found(tiny_regression_checkpoint, "slices.label=true")
    assert str(caught.value).startswith(
        "int8.yaml: stages[3].verify.slices: a task of regression has no labels to tell rows apart by"
    )


def key(model: Path, *settings: str) -> str:
    """The key of the stage ``verify`` as it stands first, which it depends on nothing before."""
    source = found(model, *settings)
    made = job.PipelineJob(
        source.model, source.task, source.data, recipe_target(), Path("out").resolve(), Path("w").resolve()
    )
    steps = [
        placed.step for placed in walk(recipe.load("int8", tuple(f"verify.{s}" for s in settings)).stages)
    ]
    step = next(each for each in steps if each.stage.name == "verify")
    state = job.start(made)
    state.inputs.update(dict.fromkeys(step.stage.reads, state.baseline))
    return job.name_and_key(0, step, state, made, "")[1]


def recipe_target():
    from edgeroberta import targets

    return targets.load("cpu")


def test_another_value_or_another_word_verifies_again_and_what_is_not_asked_for_does_not(tiny_checkpoint):
    Path("w.txt").write_text("film: film\n")
    asked = ("slices.columns=[dialect]", "slices.words=w.txt")
    first, plain = key(tiny_checkpoint, *asked), key(tiny_checkpoint)
    assert first == key(tiny_checkpoint, *asked)
    Path("w.txt").write_text("film: film, number\n")
    second = key(tiny_checkpoint, *asked)
    write(lambda row: ("scots", "irish")[row // 4 % 2])
    third = key(tiny_checkpoint, *asked)
    assert len({first, second, third}) == 3
    assert key(tiny_checkpoint) == plain


def test_every_refusal_says_what_to_do_next(tiny_checkpoint):
    for setting in ("slices.columns=[text]", "slices.length=[5000]", "slices.words=none.txt"):
        with pytest.raises(EdgeRobertaError) as caught:
            found(tiny_checkpoint, setting)
        assert caught.value.hint
