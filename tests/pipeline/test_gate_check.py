"""A gate about what the task does not have is refused before any stage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeroberta import recipe
from edgeroberta.errors import RecipeError
from edgeroberta.pipeline import gate_check
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
TOPICS = Task(Problem.MULTI_LABEL, ("billing", "delivery", "quality"))
SCORE = Task(Problem.REGRESSION, ("score",))
PERSONAL = Task(Problem.TOKENS, ("O", "B-EMAIL", "I-EMAIL", "B-PHONE", "I-PHONE"))


def checked(task: Task, *settings: str) -> None:
    gate_check.check(recipe.load("int8", [f"verify.gate.{each}" for each in settings]), task)


def test_what_the_task_has_may_be_asked_for():
    checked(TWO)
    checked(TWO, "metric=matthews", "min_recall={positive: 0.9}", "max_recall_drop=0.01")
    checked(TOPICS, "max_recall_drop={billing: 0.01, quality: 0}")
    checked(SCORE, "metric=spearman")
    checked(PERSONAL, "metric=f1_strict", "min_recall.EMAIL=0.99", "max_recall_drop={PHONE: 0.005}")
    checked(PERSONAL, "metric=recall")


@pytest.mark.parametrize(
    ("task", "setting", "said"),
    [
        (
            TWO,
            "metric=macro-f1",
            "metric: a task of single label classification has no macro-f1\n"
            "  next: did you mean 'macro_f1'? one of accuracy, f1, macro_f1, matthews",
        ),
        (
            replace(TWO, labels=("a", "b", "c")),
            "metric=f1",
            "metric: a task of single label classification has no f1\n"
            "  next: one of accuracy, macro_f1, matthews",
        ),
        (
            PERSONAL,
            "min_recall={EMIAL: 0.99}",
            "min_recall: the model has no type of entity 'EMIAL'\n"
            "  next: did you mean 'EMAIL'? one of EMAIL, PHONE",
        ),
        (
            PERSONAL,
            "max_recall_drop={B-PHONE: 0.01}",
            "max_recall_drop: the model has no type of entity 'B-PHONE'\n"
            "  next: did you mean 'PHONE'? one of EMAIL, PHONE",
        ),
        (
            TOPICS,
            "max_recall_drop={price: 0.01}",
            "max_recall_drop: the model has no label 'price'\n  next: one of billing, delivery, quality",
        ),
        (
            SCORE,
            "max_recall_drop=0.01",
            "max_recall_drop: a task of regression has no labels that could be found or missed\n"
            "  next: leave it out; max_drop bounds the loss of the metric",
        ),
    ],
)
def test_what_it_does_not_have_is_refused_with_the_nearest(task, setting, said):
    with pytest.raises(RecipeError) as caught:
        checked(task, setting)
    assert str(caught.value) == f"int8.yaml: stages[3].verify.gate.{said}"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("min_recall={EMAIL: 99}", "should be less than or equal to 1, got 99"),
        ("min_recall={EMAIL: true}", "should be a valid number, got True"),
        ("max_drop=true", "should be a valid number, got True"),
        (
            "min_recall=0.99",
            "should be a valid dictionary, got 0.99\n  next: a table is written {NAME: VALUE, NAME: VALUE}",
        ),
        (
            "min_recall={EMAIL:0.99}",
            "should be a valid number, got None\n  next: a space after the colon: EMAIL: 0.99",
        ),
        (
            "max_recall_drop={EMAIL: little}",
            "should be a valid number, unable to parse string as a number, got 'little'",
        ),
        (
            "max_recall_drop=-1",
            "should be greater than or equal to 0 or should be a valid dictionary, got -1",
        ),
    ],
)
def test_a_bound_that_is_no_share_is_refused(setting, said):
    with pytest.raises(RecipeError) as caught:
        checked(PERSONAL, setting)
    assert str(caught.value) == f"--set verify.gate.{setting}: {said}"
