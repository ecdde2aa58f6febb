from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.metrics import all_metrics, score
from edgeroberta.tasks import Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))
RNG = np.random.default_rng(0)


def _one_hot(ids: Any, width: int = 3) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        *((RNG.integers(0, 3, n), RNG.integers(0, 3, n)) for n in (1, 2, 7, 500)),
        (RNG.integers(0, 2, 50), RNG.integers(0, 2, 50)),  # the third label neither occurs nor is found
        (np.full(6, 1), np.array([0, 1, 2, 0, 1, 2])),  # one answer to everything
        (np.array([0, 1, 2, 0]), np.full(4, 2)),  # one label only
        (np.full(5, 2), np.full(5, 2)),
    ],
    ids=str,
)
def test_metrics_of_one_label_are_scikit_learn_s(answers, labels):
    assert all_metrics(SINGLE, _one_hot(answers), labels) == pytest.approx(
        {
            "accuracy": sklearn.accuracy_score(labels, answers),
            "macro_f1": sklearn.f1_score(labels, answers, average="macro", zero_division=0),
            "matthews": sklearn.matthews_corrcoef(labels, answers),
        }
    )


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        *((RNG.random((n, 3)) < 0.4, RNG.random((n, 3)) < 0.4) for n in (1, 2, 7, 500)),
        (RNG.random((20, 3)) < [0.5, 0, 0.5], RNG.random((20, 3)) < [0.5, 0, 0]),  # labels that never occur
        (np.zeros((2, 3), bool), np.zeros((2, 3), bool)),
        (np.zeros((4, 3), bool), np.ones((4, 3), bool)),
    ],
    ids=str,
)
def test_metrics_of_several_labels_are_scikit_learn_s(answers, labels):
    # Ours is the mean over labels that occur; scikit-learn's over all.
    each = sklearn.f1_score(labels, answers, average=None, zero_division=0)
    occurs = (answers | labels).any(axis=0)
    assert all_metrics(MULTI, np.where(answers, 1.0, -1.0), labels.astype(np.float32)) == pytest.approx(
        {
            "micro_f1": sklearn.f1_score(labels, answers, average="micro", zero_division=0),
            "macro_f1": each[occurs].mean() if occurs.any() else 0,
            "subset_accuracy": sklearn.accuracy_score(labels, answers),
        }
    )


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        *((RNG.normal(size=n), RNG.normal(size=n)) for n in (2, 3, 500)),
        (RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)),  # ties
        (4096 + np.arange(100) / 64, np.arange(100)),  # a small spread on a large value
        (np.arange(4.0) ** 2, np.arange(4)),
    ],
)
def test_metrics_of_a_value_are_scipy_s(answers, labels):
    answers, labels = (each.astype(np.float32).astype(float) for each in (answers, labels))
    expected = {
        "pearson": stats.pearsonr(answers, labels).statistic,
        "spearman": stats.spearmanr(answers, labels).statistic,
        "rmse": sklearn.root_mean_squared_error(labels, answers),
    }
    assert all_metrics(VALUE, answers[:, None].astype(np.float32), labels) == pytest.approx(expected)


def test_a_constant_prediction_correlates_with_nothing():
    assert score(VALUE, np.full((5, 1), 0.1, np.float32), np.arange(5, dtype=np.float32)) == 0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "there are no rows to measure on"),
        (
            np.zeros((2, 2)),
            np.zeros(2, int),
            "the model gave logits of shape (2, 2) for 2 texts, where there are 2 rows and 3 outputs",
        ),
        (
            np.array([[0, 0, 0], [0, np.nan, 0]]),
            np.zeros(2, int),
            "the model's logits are not finite, first for row 2",
        ),
    ],
)
def test_logits_that_cannot_be_scored_are_refused(logits, labels, message):
    with pytest.raises(EdgeRobertaError) as caught:
        score(SINGLE, logits, labels)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("task", [SINGLE, MULTI, VALUE], ids=lambda task: task.metric)
def test_every_metric_can_be_asked_for_by_name_and_the_default_is_among_them(task):
    logits = RNG.normal(size=(20, task.num_outputs)).astype(np.float32)
    labels = task.decide(RNG.normal(size=logits.shape).astype(np.float32))
    found = all_metrics(task, logits, labels)
    assert set(task.metrics) <= set(found)
    assert score(task, logits, labels) == found[task.metric]
