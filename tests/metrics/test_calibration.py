from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.metrics import calibration_error
from edgeroberta.tasks import Problem, Task

MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))
TWO = Task(Problem.SINGLE_LABEL, ("a", "b"))


def _sure(*shares: float) -> np.ndarray:
    """Logits whose softmax gives the first of two labels these probabilities."""
    return np.array([[np.log(share / (1 - share)), 0.0] for share in shares])


def test_calibration_of_a_case_counted_by_hand() -> None:
    # Four answers at 0.75, half of them right: a gap of 0.25. One at 0.9, right: a gap of 0.1.
    logits = _sure(0.75, 0.75, 0.75, 0.75, 0.9)
    assert calibration_error(TWO, logits, np.array([0, 0, 1, 1, 0])) == pytest.approx((4 * 0.25 + 0.1) / 5)


def test_calibration_is_of_the_answer_whichever_label_it_is() -> None:
    # 0.25 for the first label is 0.75 for the second, and three of four are right.
    assert calibration_error(TWO, _sure(0.25, 0.25, 0.75, 0.75), np.array([1, 1, 0, 1])) == pytest.approx(0)


def test_gaps_of_different_bins_do_not_cancel_out_and_those_of_one_bin_do() -> None:
    # 0.95 wrong and 0.6 right: -0.95 and +0.4. In a single bin they are -0.55 together.
    logits, labels = _sure(0.95, 0.6), np.array([1, 0])
    assert calibration_error(TWO, logits, labels) == pytest.approx((0.95 + 0.4) / 2)
    assert calibration_error(TWO, logits, labels, bins=1) == pytest.approx(0.55 / 2)


def test_a_bin_holds_its_upper_edge() -> None:
    # With four bins, 0.75 is in the third, with 0.6: +0.25 and -0.6.
    logits, labels = _sure(0.6, 0.75), np.array([1, 0])
    assert calibration_error(TWO, logits, labels, bins=4) == pytest.approx(0.35 / 2)


def test_calibration_of_several_labels_is_the_mean_over_them() -> None:
    # a: 0.75 twice, true once; b: 0.25 twice, never true; c: 0.5 twice, true once.
    logits = np.array([[np.log(3), -np.log(3), 0.0]] * 2)
    labels = np.array([[1, 0, 1], [0, 0, 0]], np.float32)
    assert calibration_error(MULTI, logits, labels) == pytest.approx((0.25 + 0.25 + 0) / 3)


def test_extreme_logits_have_a_calibration_and_a_regression_has_none() -> None:
    assert calibration_error(TWO, np.array([[1e4, -1e4], [-1e4, 1e4]]), np.array([0, 0])) == 0.5
    assert calibration_error(MULTI, np.array([[1e4, -1e4, -1e4]]), np.array([[1, 0, 0]])) == 0
    assert calibration_error(VALUE, np.array([[0.5]]), np.array([0.5])) is None
