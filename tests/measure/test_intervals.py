from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgeroberta.measure.intervals import intervals


def intervals_of(rounds: Sequence[Any], percentiles: Sequence[float]) -> Any:
    return intervals(rounds, lambda calls: np.percentile(calls, percentiles, axis=1))


def test_the_interval_holds_the_percentile_of_what_was_drawn_from():
    """95 of 100 intervals should hold the true median; the bootstrap is a little narrow with 20 blocks."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = intervals_of(list(rng.lognormal(size=(5, 40))), [50])
        held += found[0][0] <= 1.0 <= found[0][1]
    assert 85 <= held <= 100


def test_calls_that_slow_down_together_widen_it():
    """The same times, once as a machine gives them that is slow for a while at a time, once shuffled."""
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.choice([1.0, 2.0], size=50), 10) + rng.normal(scale=0.2, size=500)
    together = intervals_of([slow], [50])
    apart = intervals_of([rng.permutation(slow)], [50])
    assert together is not None
    assert apart is not None
    assert np.ptp(together) > 1.5 * np.ptp(apart)


def test_rounds_that_differ_as_a_whole_widen_it():
    """A slow-down may last as long as a round; blocks of ten calls alone would hold 42 of 100 medians."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = intervals_of(list(rng.normal(size=(5, 100)) + rng.normal(size=(5, 1))), [50])
        held += found[0][0] <= 0.0 <= found[0][1]
    assert held >= 70


def test_rounds_of_different_lengths_are_taken_together():
    rng = np.random.default_rng(0)
    found = intervals_of([rng.normal(10, 1, size) for size in (100, 57, 12, 3)], [50])
    assert found[0][0] < 10 < found[0][1]
    assert intervals_of([rng.normal(size=100)], [50]) is not None


def test_each_percentile_has_its_own_and_they_are_the_same_each_time():
    rounds = list(np.random.default_rng(1).lognormal(size=(5, 100)))
    found = intervals_of(rounds, [50, 90, 99])
    assert found == intervals_of(rounds, [50, 90, 99])
    assert found is not None
    for (low, high), percentile in zip(found, (50, 90, 99), strict=True):
        assert low < np.percentile(np.concatenate(rounds), percentile) < high


@pytest.mark.parametrize("rounds", [[np.ones(30)], [np.ones(5)] * 20, []])
def test_too_few_calls_have_none(rounds):
    assert intervals_of(rounds, [50]) is None


def test_that_of_a_mean_holds_it():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        rounds = list(rng.exponential(size=(5, 100)))
        ((low, high),) = intervals(rounds, lambda calls: calls.mean(axis=1)[np.newaxis])
        held += low <= 1.0 <= high
    assert 85 <= held <= 100
