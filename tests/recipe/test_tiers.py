"""Recipes with tiers: several models, each made by stages of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeroberta import recipe
from edgeroberta.errors import RecipeError

GOOD = """\
schema_version: 1
name: mine
description: For tests
stages:
  - cascade:
      agreement: 0.98
      tiers:
        - name: small
          stages: [{distill: {layers: 0.5, epochs: 3}}, {export: {}}, {quantize: {samples: 64}}, {build: {}}]
        - name: large
          stages: [export, {quantize: {}}, build]
  - verify: {}
  - bundle: {}
"""


def write(folder: Path, *changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_every_tier_has_its_stages_with_all_defaults(tmp_path):
    loaded = recipe.load(write(tmp_path))
    (cascade, *_), found = loaded.stages, loaded.cascade
    assert found is cascade
    assert (found.config.agreement, found.config.confidence) == (0.98, 0.95)  # type: ignore[attr-defined]
    assert {tier.name: [step.stage.name for step in tier.steps] for tier in found.tiers} == {
        "small": ["distill", "export", "quantize", "build"],
        "large": ["export", "quantize", "build"],
    }
    assert found.tiers[0].steps[2].config.samples == 64  # type: ignore[attr-defined]
    assert found.tiers[1].steps[1].config.samples == 256  # type: ignore[attr-defined]


def test_the_resolved_text_is_a_recipe_that_resolves_to_itself(tmp_path):
    loaded = recipe.load(write(tmp_path), ["small.quantize.samples=32"])
    file = tmp_path / "again.yaml"
    file.write_text(loaded.text)
    again = recipe.load(str(file))
    assert again.text == loaded.text
    assert again.stages == loaded.stages


def test_stages_are_walked_in_the_order_in_which_they_run(tmp_path):
    found = list(recipe.walk(recipe.load(write(tmp_path)).stages))
    assert [(each.tier, each.step.stage.name) for each in found] == [
        ("small", "distill"), ("small", "export"), ("small", "quantize"), ("small", "build"),
        ("large", "export"), ("large", "quantize"), ("large", "build"),
        (None, "cascade"), (None, "verify"), (None, "bundle"),
    ]  # fmt: skip
    assert found[5].place == "stages[0].cascade.tiers[1].stages[1].quantize"


def test_a_recipe_without_a_cascade_has_no_tiers():
    loaded = recipe.load("int8")
    assert loaded.cascade is None
    assert all(each.tier is None for each in recipe.walk(loaded.stages))


@pytest.mark.parametrize(
    ("old", "new", "where", "what", "hint"),
    [
        (
            "{quantize: {samples: 64}}",
            "{quantize: {samples: 3}}",
            "stages[0].cascade.tiers[0].stages[2].quantize.samples",
            "should be greater than or equal to 8, got 3",
            None,
        ),
        (
            "{quantize: {}}",
            "{quantise: {}}",
            "stages[0].cascade.tiers[1].stages[1]",
            "no stage is called 'quantise'",
            "did you mean 'quantize'?",
        ),
        ("name: small", "nam: small", "stages[0].cascade.tiers[0].name", "this field is required", None),
        (
            "name: small",
            "name: a/b",
            "stages[0].cascade.tiers[0].name",
            "a name of letters, digits, - and _, at most 64, got 'a/b'",
            None,
        ),
        (
            "[export, {quantize: {}}, build]",
            "[export, {quantize: {}}]",
            "stages[0].cascade.tiers[1].stages",
            "the tier 'large' ends before it can answer",
            "end it with '- build: {}'",
        ),
        (
            "[export, {quantize: {}}, build]",
            "[{quantize: {}}, build]",
            "stages[0].cascade.tiers[1].stages[0].quantize",
            "quantize needs a graph, and no stage before it makes one",
            "put '- export: {}' before it",
        ),
        (
            "{quantize: {}}, build]",
            "{quantize: {}}, build, verify]",
            "stages[0].cascade.tiers[1].stages[3].verify",
            "verify cannot be a stage of a tier",
            "put it among the recipe's own stages, behind the cascade",
        ),
        (
            "[export, {quantize",
            "[finetune, export, {quantize",
            "stages[0].cascade.tiers[1].stages[0].finetune",
            "finetune makes the baseline, which all tiers are compared with",
            "put it among the recipe's own stages, before the cascade",
        ),
        (
            "stages:\n  - cascade:",
            "stages:\n  - export: {}\n  - cascade:",
            "stages[0].export",
            "export makes a graph that no tier has a use for",
            "put it among the stages of a tier",
        ),
        (
            "stages: [export",
            "labels: 3\n          stages: [export",
            "stages[0].cascade.tiers[1].labels",
            "unknown field",
            "known fields: name, stages",
        ),
        (
            "- name: large\n          stages: [export, {quantize: {}}, build]",
            "- large",
            "stages[0].cascade.tiers[1]",
            "each tier is a name and its stages, e.g. '- name: int8' with 'stages:' below it",
            None,
        ),
        (
            "[export, {quantize: {}}, build]",
            "[export, build, {cascade: {tiers: [{name: a, stages: [export]}, b]}}]",
            "stages[0].cascade.tiers[1].stages[2]",
            "a cascade cannot be a stage of a tier",
            "put its tiers among those of the recipe's own cascade",
        ),
        (
            "agreement: 0.98",
            "texts: ''",
            "stages[0].cascade.texts",
            "should name something, got ''",
            None,
        ),
    ],
)
def test_a_bad_field_of_a_tier_is_refused_with_the_path_of_the_field(tmp_path, old, new, where, what, hint):
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, (old, new)))
    assert (caught.value.where, caught.value.what) == (f"mine.yaml: {where}", what)
    if hint is not None:
        assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ("int8", "should have at least 2 items, not 1, got [{"),
        ("a, b, c, d", "should have at most 3 items, not 4, got [{"),
        ("Int8, int8", "two tiers are called 'int8', got [{"),
    ],
)
def test_a_bad_list_of_tiers_is_refused_without_all_that_it_says(tmp_path, names, what):
    tiers = "".join(f"        - {{name: {name}, stages: [export, build]}}\n" for name in names.split(", "))
    old = GOOD[GOOD.index("        - name: small") : GOOD.index("  - verify")]
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, (old, tiers)))
    assert caught.value.where == "mine.yaml: stages[0].cascade.tiers"
    assert caught.value.what.startswith(what)
    assert len(caught.value.what) < 200


@pytest.mark.parametrize(
    ("new", "what"),
    [
        ("name: Small", "two tiers are called 'small'"),
        (
            "name: large\n          stages: [export, build]\n        - name: a\n          stages: [build]\n"
            "        - name: b",
            "should have at most 3 items",
        ),
    ],
)  # fmt: skip
def test_names_and_numbers_of_tiers_are_checked(tmp_path, new, what):
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path, ("name: large", new)))
    assert caught.value.where == "mine.yaml: stages[0].cascade.tiers"
    assert caught.value.what.startswith(what) or what in caught.value.what


def test_a_cascade_needs_two_tiers(tmp_path):
    text = GOOD[: GOOD.index("        - name: large")] + GOOD[GOOD.index("  - verify") :]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        recipe.load(str(path))
    assert caught.value.where == "mine.yaml: stages[0].cascade.tiers"


def of(loaded: recipe.Recipe, tier: str, stage: str) -> object:
    """The config of a stage of a tier."""
    assert loaded.cascade is not None
    steps = dict(loaded.cascade.tiers)[tier]
    return next(step.config for step in steps if step.stage.name == stage)


def test_an_override_names_the_tier_whose_stage_it_is(tmp_path):
    loaded = recipe.load(write(tmp_path), ["large.quantize.samples=32", "cascade.agreement=0.95"])
    assert of(loaded, "large", "quantize").samples == 32  # type: ignore[attr-defined]
    assert of(loaded, "small", "quantize").samples == 64  # type: ignore[attr-defined]
    assert loaded.cascade.config.agreement == 0.95  # type: ignore[union-attr, attr-defined]


def test_a_stage_that_only_one_tier_has_needs_no_tier(tmp_path):
    loaded = recipe.load(write(tmp_path), ["distill.epochs=1"])
    assert of(loaded, "small", "distill").epochs == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("override", "what", "hint"),
    [
        ("quantize.samples=32", "2 tiers have a stage 'quantize'", "write small.quantize"),
        ("small.quantise.samples=32", "the tier 'small' has no stage 'quantise'", "did you mean 'quantize'?"),
        ("small.quantize=32", "an override of a tier is written tier.stage.key=value", None),
        (
            "cascade.tiers=[]",
            "tiers are not set as a whole",
            "a setting of a tier's stage: --set small.STAGE.KEY=VALUE",
        ),
    ],
)
def test_an_override_that_fits_no_single_stage_is_refused(tmp_path, override, what, hint):
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path), [override])
    assert (caught.value.where, caught.value.what, caught.value.hint) == (f"--set {override}", what, hint)


def test_an_override_of_a_tier_is_blamed_for_what_it_sets(tmp_path):
    with pytest.raises(RecipeError) as caught:
        recipe.load(write(tmp_path), ["large.quantize.samples=3"])
    assert caught.value.where == "--set large.quantize.samples=3"


def test_a_tier_may_be_called_as_a_stage_is(tmp_path):
    path = write(tmp_path, ("name: small", "name: distill"))
    loaded = recipe.load(
        path, ["distill.epochs=1", "distill.distill.temperature=3", "distill.quantize.samples=9"]
    )
    assert of(loaded, "distill", "distill").epochs == 1  # type: ignore[attr-defined]
    assert of(loaded, "distill", "distill").temperature == 3  # type: ignore[attr-defined]
    assert of(loaded, "distill", "quantize").samples == 9  # type: ignore[attr-defined]
