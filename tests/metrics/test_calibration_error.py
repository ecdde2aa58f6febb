from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from edgeroberta.metrics import calibration_error
from edgeroberta.tasks import Problem, Task

THREE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))
TWO = Task(Problem.SINGLE_LABEL, ("a", "b"))


def _gap(probabilities: np.ndarray, happened: np.ndarray, bins: int) -> float:
    found = stats.binned_statistic(probabilities, happened - probabilities, "sum", bins, range=(0, 1))
    return float(np.abs(found.statistic).sum() / len(probabilities))


@pytest.mark.parametrize("bins", [1, 4, 15])
@pytest.mark.parametrize("rows", [1, 3, 400])
@pytest.mark.parametrize("task", [TWO, THREE, MULTI], ids=["two", "three", "several"])
def test_calibration_is_the_gap_of_each_bin_weighted_by_its_rows(task, rows, bins):
    rng = np.random.default_rng(rows)
    logits = rng.normal(size=(rows, task.num_outputs)) * 3
    if task is MULTI:
        labels = rng.integers(0, 2, logits.shape).astype(np.float32)
        expected = np.mean([_gap(special.expit(logits[:, k]), labels[:, k], bins) for k in range(3)])
    else:
        labels = rng.integers(0, task.num_outputs, rows)
        expected = _gap(special.softmax(logits, axis=1).max(axis=1), logits.argmax(axis=1) == labels, bins)
    assert calibration_error(task, logits, labels, bins=bins) == pytest.approx(expected)


def test_a_bin_holds_its_upper_edge():
    # With four bins, 0.75 is in the third, with 0.6: +0.25 and -0.6.
    logits = np.array([[np.log(share / (1 - share)), 0.0] for share in (0.6, 0.75)])
    assert calibration_error(TWO, logits, np.array([1, 0]), bins=4) == pytest.approx(0.35 / 2)


def test_extreme_logits_have_a_calibration_and_a_regression_has_none():
    assert calibration_error(TWO, np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([0, 0])) == 0.5
    assert calibration_error(MULTI, np.array([[1e4, -1e4, -1e4]]), np.array([[1, 0, 0]])) == 0
    assert calibration_error(VALUE, np.array([[0.5]]), np.array([0.5])) is None
