from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp


@pytest.fixture
def best_value() -> Callable[..., float]:
    """A function that gives the most value that one option of each item has within a budget, by scipy."""

    def solve(items: list[list[tuple[float, float]]], budget: float) -> float:
        cost, value = np.array([option for options in items for option in options], float).T
        of_item = np.repeat(np.eye(len(items)), [len(options) for options in items], axis=1)
        found = milp(
            -value,
            integrality=np.ones(len(value)),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(of_item, 1, 1), LinearConstraint(cost, ub=budget)],
            options={"mip_rel_gap": 0},
        )
        assert found.success, found.message
        return float(-found.fun)

    return solve
