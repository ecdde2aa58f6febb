from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from edgeroberta.prune import knapsack


class Option(NamedTuple):
    cost: float
    value: float


@pytest.mark.parametrize("fraction", [0, 1], ids=["whole costs", "any costs"])
@pytest.mark.parametrize("seed", range(8))
def test_no_other_choice_within_the_budget_is_worth_more(best_value, seed, fraction):
    rng = np.random.default_rng(seed)
    items = [
        [Option(*pair) for pair in rng.integers(0, 100, (rng.integers(1, 7), 2)) + rng.random(2) * fraction]
        for _ in range(rng.integers(1, 9))
    ]
    least, most = knapsack.least(items), sum(max(options).cost for options in items)
    for budget in (least, 0.7 * least + 0.3 * most, most):
        chosen = knapsack.choose(items, budget)
        assert all(option in options for option, options in zip(chosen, items, strict=True))
        assert sum(option.cost for option in chosen) <= budget * (1 + 1e-9)
        # What leaves a bin of each item is always found; between that and the budget perhaps a little less.
        value, left = sum(option.value for option in chosen), (budget - least) * len(items) / knapsack.BINS
        assert best_value(items, budget - left) - 1e-6 <= value <= best_value(items, budget) + 1e-6


def test_costs_between_bins_neither_break_the_budget_nor_miss_it():
    budget = knapsack.BINS  # a bin is 1 wide
    tight = [[Option(0, 0), Option(2.5, 3)], [Option(0, 0), Option(budget - 2.5, 5)]]
    assert knapsack.choose(tight, budget) == [Option(2.5, 3), Option(budget - 2.5, 5)]
    over = [[Option(0, 0), Option(2.6, 3)], [Option(0, 0), Option(budget - 2.5, 5)]]
    assert knapsack.choose(over, budget) == [Option(0, 0), Option(budget - 2.5, 5)]


@pytest.mark.parametrize("budget", [1.0, 1.0 + 1e-15])
def test_a_budget_with_next_to_nothing_to_spare_does_not_overflow(budget):
    assert knapsack.choose([[Option(1, 0), Option(1e12, 9)]], budget) == [Option(1, 0)]
