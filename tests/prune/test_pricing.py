from __future__ import annotations

import fake_latency
import numpy as np
import pytest

from edgeroberta.prune import allocation
from edgeroberta.prune.importance import Importance
from edgeroberta.prune.pricing import LatencyCost, MacCost, ParameterCost
from edgeroberta.roberta.shape import EncoderShape, LayerShape

FULL = EncoderShape(1000, 384, 32, 514, 1, 2, (LayerShape(12, 1536),) * 4)


def equal_scores() -> Importance:
    heads, neurons = np.full(12, 128.0), np.ones(1536)
    return Importance((heads,) * 4, (neurons,) * 4)


def test_parameters_and_products_are_those_of_the_shape():
    layer = LayerShape(3, 64)
    assert ParameterCost(FULL).layer(0, 4, layer) == FULL.layer_parameters(layer)
    assert MacCost(FULL, 20).layer(0, 4, layer) == FULL.layer_macs(layer, 20)


def test_seconds_of_all_layers_are_what_the_table_predicts():
    table = fake_latency.table(FULL)
    cost = LatencyCost(table, 20)
    shapes = (LayerShape(8, 768), LayerShape(1, 32), LayerShape(12, 1536), LayerShape(8, 768))
    pruned = EncoderShape(1000, 384, 32, 514, 1, 2, shapes)
    assert allocation.cost_of(cost, shapes) == pytest.approx(table.times(pruned, [20])[0])
    assert cost.layer(3, 4, shapes[0]) == pytest.approx(cost.layer(0, 4, shapes[0]) / 10)


def test_a_budget_of_seconds_is_met_and_spent_where_units_are_cheap():
    cost = LatencyCost(fake_latency.table(FULL), 20)
    budget = 0.5 * allocation.cost_of(cost, FULL.layers)
    kept = allocation.allocate(equal_scores(), cost, budget)
    assert 0.99 * budget < allocation.cost_of(cost, kept.shapes) <= budget
    *middle, last = kept.shapes
    assert last == FULL.layers[-1]  # the last layer costs a tenth, and its units are worth as much
    assert all(shape != FULL.layers[0] for shape in middle)


def test_the_dearer_kind_of_unit_on_the_engine_goes_first():
    for head, neuron, kind in ((40.0, 0.01, "intermediate"), (0.1, 1.0, "heads")):
        cost = LatencyCost(fake_latency.table(FULL, head=head, neuron=neuron), 20)
        kept = allocation.allocate(equal_scores(), cost, 0.6 * allocation.cost_of(cost, FULL.layers))
        assert all(getattr(shape, kind) == getattr(FULL.layers[0], kind) for shape in kept.shapes)
