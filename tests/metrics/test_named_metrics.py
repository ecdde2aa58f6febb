"""Metrics that are asked for by name, held to scikit-learn and scipy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn

from edgeroberta.errors import UsageError
from edgeroberta.metrics import BootstrapOptions, all_metrics, drop_interval, score
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("not_equivalent", "equivalent"))
THREE = Task(Problem.SINGLE_LABEL, ("entailment", "neutral", "contradiction"))
SEVERAL = Task(Problem.MULTI_LABEL, ("toxic", "threat"))
VALUE = Task(Problem.REGRESSION, ("score",))
RNG = np.random.default_rng(0)


def _one_hot(ids: Any, width: int = 2) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        *((RNG.integers(0, 2, n), RNG.integers(0, 2, n)) for n in (1, 2, 7, 500)),
        (RNG.random(900) < 0.02, RNG.random(900) < 0.03),  # the positive label is rare
        (np.zeros(6, int), np.array([0, 1, 0, 1, 0, 1])),  # never found
        (np.ones(6, int), np.array([0, 1, 0, 1, 0, 1])),  # said to everything
        (np.array([0, 1, 0, 1]), np.zeros(4, int)),  # never wanted
        (np.zeros(4, int), np.zeros(4, int)),  # neither found nor wanted
        (np.ones(4, int), np.ones(4, int)),
        (np.array([1, 0]), np.array([0, 1])),  # all wrong
    ],
    ids=str,
)
def test_metrics_of_two_labels_are_scikit_learn_s(answers, labels):
    answers, labels = answers.astype(int), labels.astype(int)
    assert all_metrics(TWO, _one_hot(answers), labels) == pytest.approx(
        {
            "accuracy": sklearn.accuracy_score(labels, answers),
            "f1": sklearn.f1_score(labels, answers, labels=[0, 1], zero_division=0),
            # ours is the mean over labels that occur in either
            "macro_f1": sklearn.f1_score(
                labels, answers, labels=np.union1d(labels, answers), average="macro", zero_division=0
            ),
            "matthews": sklearn.matthews_corrcoef(labels, answers),
        }
    )


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        *((RNG.normal(size=n), RNG.normal(size=n)) for n in (3, 500)),
        (np.round(RNG.random(300) * 5, 1), np.round(RNG.random(300) * 5)),  # many equal values
        (np.arange(9.0), -np.arange(9.0)),
        (np.array([0.0, 0.0, 1.0]), np.array([2.0, 2.0, 5.0])),
        (np.full(5, 2.5), np.arange(5.0)),  # a constant answer
        (np.arange(5.0), np.full(5, 2.5)),  # a constant truth
        (np.full(3, 1.0), np.full(3, 2.0)),
    ],
    ids=str,
)
def test_correlations_are_scipy_s_and_0_where_scipy_has_none(answers, labels):
    answers, labels = answers.astype(np.float32), labels.astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        expected = [f(answers.astype(float), labels).statistic for f in (stats.pearsonr, stats.spearmanr)]
    found = all_metrics(VALUE, answers[:, None], labels)
    assert [found["pearson"], found["spearman"]] == pytest.approx(np.nan_to_num(expected), abs=1e-7)


def test_f1_is_that_of_the_second_label_and_only_of_two():
    labels = np.array([0, 0, 0, 1])
    assert score(TWO, _one_hot([0, 0, 1, 1]), labels, metric="f1") == pytest.approx(2 / 3)
    assert "f1" in TWO.metrics
    assert "f1" not in THREE.metrics
    assert "f1" not in all_metrics(THREE, _one_hot([0, 1, 2], 3), np.array([0, 1, 2]))


def test_a_lost_f1_has_an_interval_around_what_was_lost():
    truth = (RNG.random(800) < 0.3).astype(int)
    full = np.where(RNG.random(800) < 0.1, 1 - truth, truth)
    ours = np.where(RNG.random(800) < 0.05, 1 - full, full)
    given = (_one_hot(full), _one_hot(ours), truth)
    found = drop_interval(TWO, *given, BootstrapOptions(), metric="f1")
    lost = sklearn.f1_score(truth, full) - sklearn.f1_score(truth, ours)
    assert found.mean == pytest.approx(lost)
    assert found.low < lost < found.high < lost + 0.1


def test_a_task_is_judged_by_the_metric_that_was_asked_for_and_tells_it_first():
    judged = TWO.judge_by("f1")
    outputs, labels = _one_hot([0, 1, 1, 0]), np.array([0, 1, 0, 0])
    assert judged.metric == "f1"
    assert score(judged, outputs, labels) == pytest.approx(2 / 3)
    assert next(iter(all_metrics(judged, outputs, labels))) == "f1"
    assert TWO.judge_by(None) == TWO == TWO.judge_by("accuracy")


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        (
            THREE,
            "f1",
            "--metric: f1 is of 2 labels, and this task has 3\n  next: one of accuracy, macro_f1, matthews",
        ),
        (
            TWO,
            "acuracy",
            "--metric: a task of single label classification has no acuracy\n"
            "  next: did you mean 'accuracy'? one of accuracy, f1, macro_f1, matthews",
        ),
        (
            VALUE,
            "accuracy",
            "--metric: a task of regression has no accuracy\n  next: one of pearson, spearman",
        ),
        (
            SEVERAL,
            "f1",
            "--metric: a task of multi label classification has no f1\n"
            "  next: one of micro_f1, macro_f1, subset_accuracy",
        ),
    ],
)
def test_a_metric_that_the_task_has_not_is_refused_with_those_it_has(task, metric, message):
    with pytest.raises(UsageError) as caught:
        task.judge_by(metric)
    assert str(caught.value) == message
    assert (caught.value.exit_code, caught.value.code) == (2, "usage.metric-unknown")
