"""The axes of drawings: which ticks they choose, and where values are."""

from __future__ import annotations

import pytest

from edgeroberta.report.axes import LinearAxis, LogarithmicAxis


def test_a_linear_axis_holds_its_values_between_round_ticks():
    axis = LinearAxis.over([0.0, 5.9])
    assert (axis.low, axis.step, axis.label(axis.ticks()[1])) == (0.0, 1.0, "1")
    assert axis.high >= 5.9
    assert axis.part(axis.high) == 1


def test_a_logarithmic_axis_has_ticks_at_one_two_and_five():
    axis = LogarithmicAxis.over([0.3, 12.0])
    assert [axis.label(tick) for tick in axis.ticks()] == ["0.2", "0.5", "1", "2", "5", "10", "20"]


def test_equal_factors_are_equal_distances_on_a_logarithmic_axis():
    axis = LogarithmicAxis.over([0.3, 12.0])
    assert (axis.part(0.2), axis.part(20.0)) == (0, pytest.approx(1))
    assert axis.part(4.0) - axis.part(1.0) == pytest.approx(axis.part(2.0) - axis.part(0.5))


@pytest.mark.parametrize("value", [0.001, 0.5, 1.0, 7.0, 1000.0])
def test_a_logarithmic_axis_leaves_room_beside_a_single_value(value):
    axis = LogarithmicAxis.over([value])
    assert axis.low < value < axis.high
    assert {axis.low, axis.high} <= set(axis.ticks())
