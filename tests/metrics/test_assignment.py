from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from edgeroberta.metrics.assignment import assign


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6])
def test_no_other_order_gains_more(count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(10):
        gain = rng.integers(0, 9, (count, count)).astype(float)
        found = assign(gain)
        assert sorted(found) == list(range(count))
        best = max(
            sum(gain[row, column] for row, column in enumerate(each)) for each in permutations(range(count))
        )
        assert gain[np.arange(count), found].sum() == best


def test_an_order_of_many_is_found() -> None:
    order = np.random.default_rng(0).permutation(150)
    gain = np.random.default_rng(1).random((150, 150))
    gain[np.arange(150), order] += 2
    assert assign(gain).tolist() == order.tolist()
