from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.prune import allocation
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.surgery import KeptUnits


@dataclass(frozen=True)
class Table:
    """A cost that jumps, and whose last layer is cheaper."""

    fixed: float = 3.0

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        whole = 5.0 * shape.heads + 2.0 * -(-shape.intermediate // 4) + (7.0 if shape.heads > 2 else 0.0)
        return whole * (0.5 if index == depth - 1 else 1.0)


COST = Table()


def scores(depth: int = 3, heads: int = 3, neurons: int = 12, seed: int = 0) -> Importance:
    random = np.random.default_rng(seed)
    return Importance(
        tuple(random.random(heads) for _ in range(depth)), tuple(random.random(neurons) for _ in range(depth))
    )


def cost(kept: KeptUnits) -> float:
    return allocation.cost_of(COST, kept.shapes)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [35.0, 41.5, 50.0])
def test_no_other_choice_within_the_budget_is_worth_more(best_value, seed, budget):
    importance = scores(seed=seed)
    kept = allocation.allocate(importance, COST, budget, granularity=4)
    assert cost(kept) <= budget
    shapes = [LayerShape(*pair) for pair in itertools.product((1, 2, 3), (4, 8, 12))]
    items = [
        [
            (
                COST.layer(index, 3, shape),
                np.sort(heads)[-shape.heads :].sum() + np.sort(neurons)[-shape.intermediate :].sum(),
            )
            for shape in shapes
        ]
        for index, (heads, neurons) in enumerate(zip(importance.heads, importance.neurons, strict=True))
    ]
    best = best_value(items, budget - COST.fixed)
    assert allocation.kept_importance(importance, kept) == pytest.approx(best)


def test_a_larger_budget_never_keeps_less():
    importance = scores(seed=7)
    budgets = np.linspace(25, 90, 40)
    worth = [
        allocation.kept_importance(importance, allocation.allocate(importance, COST, b, granularity=4))
        for b in budgets
    ]
    assert worth == sorted(worth)
    assert worth[-1] == pytest.approx(
        allocation.kept_importance(importance, allocation.allocate(importance, COST, 1e9, granularity=4))
    )


def test_the_least_budget_is_met_exactly_and_less_is_refused_with_the_number():
    importance = scores()
    least = allocation.least(importance, COST, (0, 1, 2), 4)
    kept = allocation.allocate(importance, COST, least, granularity=4)
    assert kept.shapes == (LayerShape(1, 4),) * 3
    with pytest.raises(UsageError, match=f"below {least:g}, the least") as caught:
        allocation.allocate(importance, COST, least - 0.01, granularity=4)
    assert caught.value.exit_code == 2


def test_the_most_important_units_stay_wherever_they_are():
    importance = Importance(
        (np.array([0.1, 9.0, 8.0]), np.array([0.3, 0.1, 0.2])),
        (np.array([0.0, 5.0, 0.0, 4.0]), np.array([0.1, 0.0, 0.0, 0.2])),
    )
    kept = allocation.allocate_counts(importance, heads=3, neurons=4, granularity=1)
    assert kept == KeptUnits((0, 1), ((1, 2), (0,)), ((1, 3), (0, 3)))


def test_counts_are_met_in_whole_blocks_and_no_layer_is_left_without():
    importance = scores(depth=4, heads=3, neurons=70, seed=3)
    kept = allocation.allocate_counts(importance, heads=1, neurons=150, granularity=32)
    assert [shape.heads for shape in kept.shapes] == [1, 1, 1, 1]
    widths = [shape.intermediate for shape in kept.shapes]
    assert sum(widths) <= 150
    assert all(width in (32, 64, 70) for width in widths)


def test_evenly_keeps_the_same_in_every_layer():
    kept = allocation.allocate_evenly(
        scores(neurons=64, heads=12), heads=0.67, neurons=0.5, whole=(LayerShape(12, 64),) * 3, granularity=8
    )
    assert kept.shapes == (LayerShape(8, 32),) * 3


def test_auto_lets_a_worthless_layer_go_and_keeps_the_rest_whole():
    importance = scores(seed=1)
    heads = (importance.heads[0], np.zeros(3), importance.heads[2])
    neurons = (importance.neurons[0], np.zeros(12), importance.neurons[2])
    two = Importance(heads, neurons)
    budget = allocation.cost_of(COST, (LayerShape(3, 12),) * 2)
    kept = allocation.allocate(two, COST, budget, layers="auto", granularity=4)
    assert kept.layers == (0, 2)
    assert kept.shapes == (LayerShape(3, 12),) * 2


def test_chosen_layers_are_the_only_ones_left():
    kept = allocation.allocate(scores(), COST, 1e9, layers=(0, 2), granularity=4)
    assert kept.layers == (0, 2)
    with pytest.raises(UsageError, match="no layer 3"):
        allocation.allocate(scores(), COST, 1e9, layers=(0, 3), granularity=4)
