from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.errors import EngineError
from edgeroberta.tasks import Problem, Task

LABELS = ("plot", "music", "acting")


def read(problem, values, labels=LABELS):
    task = Task(problem, labels)
    return task.kind.interpret(task, np.array([values], np.float32), None, "a text", truncated=False)


def test_single_label_scores_are_a_softmax():
    found = read(Problem.SINGLE_LABEL, [1.0, 3.0, 2.0])
    wanted = np.exp([1.0, 3.0, 2.0]) / np.exp([1.0, 3.0, 2.0]).sum()
    assert found.label == "music"
    assert found.labels == ("music",)
    assert list(found.scores) == list(LABELS)
    np.testing.assert_allclose(list(found.scores.values()), wanted, rtol=1e-6)
    assert found.score == found.scores["music"]


def test_large_logits_do_not_overflow():
    found = read(Problem.SINGLE_LABEL, [1e4, -1e4, 0.0])
    assert (found.label, found.score) == ("plot", 1.0)
    several = read(Problem.MULTI_LABEL, [1e4, -1e4, 1.0])
    assert several.scores["plot"] == 1.0
    assert several.scores["music"] == 0.0


def test_the_first_of_equal_logits_wins_as_in_argmax():
    assert read(Problem.SINGLE_LABEL, [2.0, 2.0, 2.0]).label == "plot"


def test_several_labels_are_those_above_one_half():
    found = read(Problem.MULTI_LABEL, [0.1, -0.1, 2.0])
    assert found.labels == ("plot", "acting")
    assert found.label == "acting"
    assert found.score == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert found.scores["music"] < 0.5


def test_no_label_at_all_is_an_answer():
    found = read(Problem.MULTI_LABEL, [-1.0, -3.0, 0.0])
    assert found.label is None
    assert found.labels == ()
    assert found.score == 0.5


def test_a_regression_is_a_value_without_label():
    found = read(Problem.REGRESSION, [3.25], ("score",))
    assert (found.label, found.score, found.scores, found.labels) == (None, 3.25, {"score": 3.25}, ())


@pytest.mark.parametrize("problem", [Problem.SINGLE_LABEL, Problem.MULTI_LABEL])
def test_answers_are_those_that_the_task_decides(problem):
    task = Task(problem, LABELS)
    rows = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    decided = task.decide(rows)
    for row, decision in zip(rows, decided, strict=True):
        labels = read(problem, row).labels
        if problem is Problem.SINGLE_LABEL:
            assert labels == (LABELS[decision],)
        else:
            assert labels == tuple(np.array(LABELS)[decision])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_an_error(bad):
    with pytest.raises(EngineError) as caught:
        read(Problem.SINGLE_LABEL, [0.0, bad, 1.0])
    assert caught.value.what == f"the engine answered with a number that is not finite: [0.0, {bad}, 1.0]"
    assert caught.value.exit_code == 1
