"""Rows for the thresholds of a cascade: how many, and what is said where they cannot keep a promise."""

from __future__ import annotations

import pytest

from edgeroberta import recipe
from edgeroberta.data import DataSpec
from edgeroberta.errors import DataError, RecipeError
from edgeroberta.pipeline import fresh_rows
from edgeroberta.stages.cascade import CascadeConfig
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.SINGLE_LABEL, ("bad", "good"))
SPEC = DataSpec("reviews.csv")


def config(*settings: str) -> CascadeConfig:
    found = recipe.load("cascade", [f"cascade.{each}" for each in settings]).cascade
    assert found is not None
    assert isinstance(found.config, CascadeConfig)
    return found.config


def count(texts: int, *settings: str) -> int:
    wanted = fresh_rows.wanted(recipe.load("cascade", [f"cascade.{each}" for each in settings]), TASK, SPEC)
    assert wanted is not None
    return wanted.count(texts)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (100_000, 4000),  # the most
        (20_000, 2000),  # a tenth
        (9000, 1182),  # as many as it takes where half as many answers differ as may
        (3000, 600),  # a fifth
        (700, 299),  # as many as show it where none differs
    ],
)
def test_a_tenth_is_set_aside_and_of_few_rows_more(texts, expected):
    assert count(texts) == expected


@pytest.mark.parametrize("texts", [700, 3000, 9000, 100_000])
def test_a_lower_promise_is_chosen_by_the_same_rows(texts):
    """With other rows set aside there would be other training rows, and all models to make again."""
    assert count(texts, "agreement=0.95") == count(texts, "agreement=0.98") == count(texts)


def test_a_lower_promise_takes_fewer_rows_where_there_are_too_few_for_the_usual_one():
    assert count(400, "agreement=0.963") == 80  # a fifth; 299 would leave less than half


def test_a_higher_promise_takes_more_rows():
    assert count(20_000, "agreement=0.995") > count(20_000)


def test_the_recipe_may_say_how_many():
    assert count(7154, "rows=500") == 500


OR_ELSE = "name 299 texts without labels (--set cascade.texts=FILE), or ask for less: "


@pytest.mark.parametrize(
    ("texts", "settings", "hint"),
    [
        (400, (), f"give 598 training texts, {OR_ELSE}--set cascade.agreement=0.963"),
        (7154, ("rows=200",), f"set 299 aside (cascade.rows), {OR_ELSE}--set cascade.agreement=0.985"),
    ],
)
def test_too_few_rows_for_the_promise_are_refused_with_what_they_could_show(texts, settings, hint):
    with pytest.raises(DataError) as caught:
        count(texts, *settings)
    assert caught.value.code == "data.too-few-for-thresholds"
    assert "it takes 299 to be 95% sure of an agreement of 0.99" in caught.value.what
    assert (caught.value.where, caught.value.hint) == ("reviews.csv", hint)


def test_a_confidence_is_not_rounded_up_to_certainty():
    with pytest.raises(DataError, match=r"it takes 688 to be 99\.9% sure of an agreement of 0\.99"):
        count(400, "confidence=0.999")


def test_what_the_hint_says_can_be_kept():
    assert count(400, "agreement=0.963")
    assert count(598) == count(7154, "rows=299") == count(299, "texts=new.txt") == 299


def test_half_of_the_rows_are_left_to_learn_from():
    with pytest.raises(DataError, match="less than half of them"):
        count(1000, "rows=600")


def test_texts_of_a_file_are_taken_as_they_are_and_too_few_are_refused():
    assert count(500, "texts=new.txt") == 500
    with pytest.raises(DataError) as caught:
        count(200, "texts=new.txt")
    assert caught.value.where == "new.txt"
    assert caught.value.what.startswith("200 texts are there")
    assert caught.value.hint == "give 299 texts, or ask for less: --set cascade.agreement=0.985"


def test_a_task_without_a_confidence_is_refused():
    embeddings = Task(Problem.EMBEDDING, (), dimensions=32)
    with pytest.raises(RecipeError) as caught:
        fresh_rows.wanted(recipe.load("cascade"), embeddings, SPEC)
    assert caught.value.code == "usage.no-cascade"


def test_other_recipes_set_nothing_aside():
    assert fresh_rows.wanted(recipe.load("int8"), TASK, SPEC) is None
