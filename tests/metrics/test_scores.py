from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.metrics import METRICS, all_metrics, score
from edgeroberta.tasks import Problem, Task

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))


def _one_hot(ids: list[int], width: int = 3) -> np.ndarray:
    return np.eye(width, dtype=np.float32)[ids]


def test_the_metrics_of_one_label_of_a_case_counted_by_hand() -> None:
    # Label a: 1 hit, 2 found, 1 wanted, F1 2/3; b: 1 hit, 1 found, 2 wanted, F1 2/3; c: 1, 1, 1, F1 1.
    metrics = all_metrics(SINGLE, _one_hot([0, 1, 0, 2]), np.array([0, 1, 1, 2]))
    # Matthews' R_K: 4 · 3 hits less 1·2 + 2·1 + 1·1, of the root of (16 - 2² - 1 - 1) (16 - 1 - 2² - 1).
    assert metrics == pytest.approx(
        {"accuracy": 0.75, "macro_f1": (2 / 3 + 2 / 3 + 1) / 3, "matthews": (12 - 5) / 10}
    )


def test_macro_f1_leaves_out_a_label_that_neither_occurs_nor_is_predicted() -> None:
    assert all_metrics(SINGLE, _one_hot([0, 1]), np.array([0, 1]))["macro_f1"] == 1


def test_multi_label_metrics_of_a_case_counted_by_hand() -> None:
    labels = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0]], np.float32)
    logits = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1]], np.float32)
    metrics = all_metrics(MULTI, logits, labels)
    # 2 hits, 3 found, 3 wanted; a: F1 1, b: 1 hit 1 found 2 wanted, c: no hit.
    assert metrics == pytest.approx(
        {"micro_f1": 4 / 6, "macro_f1": (1 + 2 / 3 + 0) / 3, "subset_accuracy": 1 / 3}
    )


def test_regression_metrics_of_a_case_counted_by_hand() -> None:
    labels = np.array([1, 2, 3, 4], np.float32)
    metrics = all_metrics(VALUE, np.array([[1], [4], [9], [16]], np.float32), labels)
    expected = np.corrcoef([1, 4, 9, 16], labels)[0, 1]
    rmse = np.sqrt((0 + 4 + 36 + 144) / 4)
    assert metrics == pytest.approx({"pearson": expected, "spearman": 1.0, "rmse": rmse})


def test_spearman_gives_equal_values_their_mean_rank() -> None:
    metrics = all_metrics(VALUE, np.array([[1], [1], [2]], np.float32), np.array([1, 2, 3], np.float32))
    assert metrics["spearman"] == pytest.approx(np.corrcoef([0.5, 0.5, 2], [0, 1, 2])[0, 1])


def test_a_constant_prediction_correlates_with_nothing() -> None:
    assert score(VALUE, np.full((5, 1), 0.1, np.float32), np.arange(5, dtype=np.float32)) == 0


def test_a_small_spread_on_a_large_value_still_correlates() -> None:
    labels = np.arange(100, dtype=np.float32)
    assert score(VALUE, 4096 + labels[:, None] / 64, labels) == pytest.approx(1)


def test_f1_is_zero_when_nothing_is_wanted_and_nothing_found() -> None:
    assert score(MULTI, np.full((2, 3), -1, np.float32), np.zeros((2, 3), np.float32)) == 0


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "there are no rows to measure on"),
        (
            np.zeros((2, 2)),
            np.zeros(2, int),
            "the model gave logits of shape (2, 2) for 2 rows and 3 outputs",
        ),
        (
            np.array([[0, 0, 0], [0, np.nan, 0]]),
            np.zeros(2, int),
            "the model's logits are not finite, first for row 2",
        ),
    ],
)
def test_logits_that_cannot_be_scored_are_refused(logits: Any, labels: Any, message: str) -> None:
    with pytest.raises(EdgeRobertaError) as caught:
        score(SINGLE, logits, labels)
    assert str(caught.value) == message
    assert caught.value.exit_code == 1


def test_matthews_of_two_labels_is_the_correlation_of_answer_and_label() -> None:
    rng = np.random.default_rng(0)
    answers, labels = rng.integers(0, 2, 50), rng.integers(0, 2, 50)
    two = Task(Problem.SINGLE_LABEL, ("no", "yes"))
    found = score(two, _one_hot(list(answers), 2), labels, metric="matthews")
    assert found == pytest.approx(np.corrcoef(answers, labels)[0, 1])


def test_matthews_of_one_answer_to_everything_is_zero() -> None:
    assert score(SINGLE, _one_hot([1] * 6), np.array([0, 1, 2, 0, 1, 2]), metric="matthews") == 0


@pytest.mark.parametrize("task", [SINGLE, MULTI, VALUE], ids=lambda task: task.metric)
def test_every_metric_can_be_asked_for_by_name_and_the_default_is_among_them(task: Task) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(20, task.num_outputs)).astype(np.float32)
    labels = task.decide(rng.normal(size=logits.shape).astype(np.float32))
    found = all_metrics(task, logits, labels)
    assert set(METRICS[task.problem]) <= set(found)
    assert score(task, logits, labels) == found[task.metric]
