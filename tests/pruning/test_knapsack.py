from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgeroberta.pruning import knapsack


@dataclass(frozen=True)
class Option:
    cost: float
    value: float


def test_one_option_of_each_item_is_chosen_for_the_most_value() -> None:
    items = [
        [Option(1, 0), Option(5, 6), Option(9, 7)],
        [Option(2, 1), Option(4, 2), Option(8, 9)],
    ]
    assert knapsack.choose(items, 13) == [Option(5, 6), Option(8, 9)]
    assert knapsack.choose(items, 12) == [Option(1, 0), Option(8, 9)]
    assert knapsack.choose(items, 7) == [Option(5, 6), Option(2, 1)]
    assert knapsack.choose(items, knapsack.least(items)) == [Option(1, 0), Option(2, 1)]


def test_costs_between_bins_neither_break_the_budget_nor_miss_it() -> None:
    budget = knapsack.BINS  # a bin is 1 wide
    tight = [[Option(0, 0), Option(2.5, 3)], [Option(0, 0), Option(budget - 2.5, 5)]]
    assert knapsack.choose(tight, budget) == [Option(2.5, 3), Option(budget - 2.5, 5)]
    over = [[Option(0, 0), Option(2.6, 3)], [Option(0, 0), Option(budget - 2.5, 5)]]
    assert knapsack.choose(over, budget) == [Option(0, 0), Option(budget - 2.5, 5)]


def test_an_option_that_costs_more_for_less_is_never_chosen() -> None:
    assert knapsack.choose([[Option(1, 1), Option(2, 5), Option(3, 4)]], 10) == [Option(2, 5)]


@pytest.mark.parametrize("budget", [1.0, 1.0 + 1e-15])
def test_a_budget_with_next_to_nothing_to_spare_does_not_overflow(budget: float) -> None:
    assert knapsack.choose([[Option(1, 0), Option(1e12, 9)]], budget) == [Option(1, 0)]
