from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.metrics import agreement, agrees
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.regression import tolerance

SINGLE = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
MULTI = Task(Problem.MULTI_LABEL, ("a", "b", "c"))
VALUE = Task(Problem.REGRESSION, ("score",))


def _one_hot(ids: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[ids]


def _values(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def test_agreement_counts_rows_with_the_same_label():
    assert agreement(SINGLE, _one_hot([0, 1, 2, 2]), _one_hot([0, 1, 2, 0])) == 0.75


def test_multi_label_agreement_wants_the_whole_set_alike():
    a = np.array([[1, 1, -1], [1, -1, -1]], np.float32)
    b = np.array([[1, -1, -1], [2, -3, -1]], np.float32)
    assert agreement(MULTI, a, b) == 0.5


def test_regression_agreement_allows_a_fifth_of_the_references_standard_deviation():
    reference = np.random.default_rng(0).normal(3, 2, size=(2000, 1)).astype(np.float32)
    assert tolerance(reference[:, 0]) == pytest.approx(0.4, rel=0.05)
    assert agreement(VALUE, reference, reference + 0.37) == 1
    assert agreement(VALUE, reference, reference + 0.43) == 0


def test_one_outlier_does_not_make_everything_agree():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(200, 1)).astype(np.float32)
    other = rng.normal(size=(200, 1)).astype(np.float32)
    before = agreement(VALUE, reference, other)
    assert before < 0.2
    reference[7] = other[7] = 10_000
    assert agreement(VALUE, reference, other) == pytest.approx(before, abs=0.011)


def test_a_reference_that_says_the_same_everywhere_allows_five_percent_of_it():
    same = agrees(VALUE, _values(4, 4, 4, 4), _values(4, 4.19, 3.81, 4.21))
    assert list(same) == [True, True, True, False]
    assert tolerance(np.zeros(5)) == 0.05


def test_a_reference_that_is_mostly_zero_is_measured_by_its_outer_deciles():
    values = np.array([0.0] * 80 + [10.0] * 20)
    assert tolerance(values) == pytest.approx(0.2 * 10 / 2.563)
    # One value that is not the same is an outlier, and no scale.
    assert tolerance(np.array([2.0] * 99 + [1e6])) == pytest.approx(0.1)


def test_what_float32_cannot_tell_apart_is_no_spread():
    assert tolerance(4000 + np.arange(100) * 1e-5) == pytest.approx(200)
