"""Where stages that learn from unlabelled text may stand, and what recipes with them end in."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta import recipe
from edgeroberta.errors import RecipeError
from edgeroberta.storage.artifact import Kind

END = "  - export: {}\n  - build: {}\n  - verify: {}\n  - bundle: {}\n"


def load(folder: Path, *stages: str, end: str = END) -> recipe.Recipe:
    lines = "".join(f"  - {name}: {{}}\n" for name in stages)
    (folder / "mine.yaml").write_text(f"schema_version: 1\nname: mine\nstages:\n{lines}{end}")
    return recipe.load(str(folder / "mine.yaml"))


def test_a_recipe_of_text_alone_ends_in_a_checkpoint(tmp_path):
    found = load(tmp_path, "pretrain", end="")
    assert (found.makes, found.of_text) == (Kind.CHECKPOINT, True)
    assert load(tmp_path, "pretrain", "pretrain", end="").makes is Kind.CHECKPOINT
    assert (load(tmp_path, "pretrain", "finetune").makes, load(tmp_path).of_text) == (Kind.BUNDLE, False)


@pytest.mark.parametrize(
    ("name", "first", "makes"),
    [
        ("adapt", ("pretrain",), Kind.CHECKPOINT),
        ("distill-agnostic", ("pretrain",), Kind.CHECKPOINT),
        ("from-scratch", ("tokenizer", "pretrain"), Kind.CHECKPOINT),
        ("adapt-int8", ("pretrain", "finetune", "distill"), Kind.BUNDLE),
        ("pretrain-tiny", ("tokenizer", "pretrain", "finetune"), Kind.BUNDLE),
    ],
)
def test_shipped_recipes_pre_train_first(name, first, makes):
    found = recipe.load(name)
    assert found.outline[: len(first)] == first
    assert (found.of_text, found.makes) == (True, makes)


def test_one_that_goes_on_must_end_in_a_bundle(tmp_path):
    with pytest.raises(RecipeError, match="the recipe makes no bundle"):
        load(tmp_path, "pretrain", "finetune", end="")


@pytest.mark.parametrize("before", ["finetune", "distill"])
def test_what_was_learnt_of_rows_is_not_pre_trained_away(tmp_path, before):
    with pytest.raises(RecipeError, match=f"and would undo what {before} has made") as raised:
        load(tmp_path, before, "pretrain")
    assert raised.value.where == "mine.yaml: stages[1].pretrain"
    assert raised.value.hint == f"put pretrain before {before}"


def test_a_tier_has_the_baseline_of_all(tmp_path):
    last = "[{export: {}}, {build: {}}]"
    first = last.replace("[", "[{pretrain: {}}, ", 1)
    tiers = "".join(
        f"        - name: {name}\n          stages: {stages}\n"
        for name, stages in (("a", first), ("b", last))
    )
    end = f"  - cascade:\n      tiers:\n{tiers}  - verify: {{}}\n  - bundle: {{}}\n"
    with pytest.raises(RecipeError, match="pretrain makes the baseline"):
        load(tmp_path, end=end)
