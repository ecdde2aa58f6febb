from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.metrics import studentized


def _values(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.normal(5, 3, rows)
    return labels + rng.normal(size=rows), labels + 2 * rng.normal(size=rows), labels


def _loss(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> float:
    return float(np.corrcoef(ours, labels)[0, 1] - np.corrcoef(theirs, labels)[0, 1])


def _upper(*values: np.ndarray, groups: np.ndarray | None = None, scale: float = 1.0) -> float:
    return studentized.upper(*values, groups, tail=0.025, samples=1000, seed=0, scale=scale)


def test_the_standard_error_is_the_jackknife_s():
    """Which leaves out one row at a time: Efron and Tibshirani, chapter 11."""
    values = _values(200)
    units = studentized.monomials(*values)
    squares = (units[:, :, None] * units[:, None, :]).reshape(200, -1)
    loss, error = studentized._loss_and_error(np.hstack([units, squares]).sum(axis=0, keepdims=True))
    left = [_loss(*(np.delete(each, row) for each in values)) for row in range(200)]
    assert loss[0] == pytest.approx(_loss(*values))
    assert error[0] == pytest.approx(np.sqrt(199 * np.var(left)), rel=0.05)


def test_the_upper_end_lies_two_standard_errors_above_and_some_for_what_was_not_seen():
    error = np.std([_loss(*_values(400, seed)) for seed in range(300)])
    beyond = _upper(*_values(400)) - _loss(*_values(400))
    assert 1.9 * error < beyond < 3.5 * error


def test_more_rows_of_the_same_kinds_are_what_scale_thinks_of():
    values = _values(100)
    real = _upper(*(np.tile(each, 9) for each in values))
    assert _upper(*values, scale=9) == pytest.approx(real, abs=0.005)


def test_rows_that_stand_or_fall_together_count_once():
    values = _values(40)
    rows = np.repeat(np.arange(40), 10)
    often = _upper(*(each[rows] for each in values), groups=rows)
    assert often == pytest.approx(_upper(*values), abs=0.01)


def test_a_constant_correlates_with_nothing_and_has_no_error():
    ours, _, labels = _values(50)
    assert np.isfinite(_upper(ours, np.full(50, 3.0), labels))
    assert _upper(np.full(50, 3.0), np.full(50, 3.0), labels) == pytest.approx(0)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_answers_that_did_not_change_lose_what_one_row_may_and_rounding_makes_no_difference(kind):
    """Rounding in samples without the row that was not seen would make it thousands of points."""
    ours, _, labels = _values(400)
    rounded = ours.astype(kind).astype(np.float64)
    assert 0 < _upper(ours, rounded, labels) < 0.02
    assert 0 < _upper(rounded, ours, labels) < 0.02
