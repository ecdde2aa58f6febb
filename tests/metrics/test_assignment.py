from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from edgeroberta.metrics.assignment import assign


@pytest.mark.parametrize(
    ("count", "highest"), [(1, 9), (2, 9), (3, 1), (5, 2), (17, 2), (17, 9), (40, 3), (100, 10**6)]
)
def test_no_other_order_gains_more(count, highest):
    gain = np.random.default_rng(count).integers(0, highest, (count, count)).astype(float)
    found = assign(gain)
    assert sorted(found) == list(range(count))
    assert gain[np.arange(count), found].sum() == gain[linear_sum_assignment(gain, maximize=True)].sum()
