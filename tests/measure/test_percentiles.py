from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.measure.percentiles import percentile_intervals


def test_the_interval_holds_the_percentile_of_what_was_drawn_from() -> None:
    """95 of 100 intervals should hold the true median; the bootstrap is a little narrow with 20 blocks."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = percentile_intervals(list(rng.lognormal(size=(5, 40))), [50])
        assert found is not None
        held += found[0][0] <= 1.0 <= found[0][1]
    assert 85 <= held <= 100


def test_calls_that_slow_down_together_widen_it() -> None:
    """The same times, once as a machine gives them that is slow for a while at a time, once shuffled."""
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.choice([1.0, 2.0], size=50), 10) + rng.normal(scale=0.2, size=500)
    together = percentile_intervals([slow], [50])
    apart = percentile_intervals([rng.permutation(slow)], [50])
    assert together is not None
    assert apart is not None
    assert np.ptp(together) > 1.5 * np.ptp(apart)


def test_rounds_that_differ_as_a_whole_widen_it() -> None:
    """A slow-down may last as long as a round; blocks of ten calls alone would hold 42 of 100 medians."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = percentile_intervals(list(rng.normal(size=(5, 100)) + rng.normal(size=(5, 1))), [50])
        assert found is not None
        held += found[0][0] <= 0.0 <= found[0][1]
    assert held >= 70


def test_rounds_of_different_lengths_are_taken_together() -> None:
    rng = np.random.default_rng(0)
    found = percentile_intervals([rng.normal(10, 1, size) for size in (100, 57, 12, 3)], [50])
    assert found is not None
    assert found[0][0] < 10 < found[0][1]
    assert percentile_intervals([rng.normal(size=100)], [50]) is not None


def test_each_percentile_has_its_own_and_they_are_the_same_each_time() -> None:
    rounds = list(np.random.default_rng(1).lognormal(size=(5, 100)))
    found = percentile_intervals(rounds, [50, 90, 99])
    assert found == percentile_intervals(rounds, [50, 90, 99])
    assert found is not None
    for (low, high), percentile in zip(found, (50, 90, 99), strict=True):
        assert low < np.percentile(np.concatenate(rounds), percentile) < high


@pytest.mark.parametrize("rounds", [[np.ones(30)], [np.ones(5)] * 20, []])
def test_too_few_calls_have_none(rounds: list[np.ndarray]) -> None:
    assert percentile_intervals(rounds, [50]) is None
