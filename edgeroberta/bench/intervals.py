"""Intervals of percentiles, for calls that are not independent of each other.

The order-statistics interval of a percentile supposes independent calls. Calls of a few milliseconds are
not: a machine that slows down for a second slows hundreds of them in a row. So neighbours are drawn
together: each round is cut into blocks, blocks are drawn with replacement, and the interval holds the middle
95 % of what the drawn calls give (the block bootstrap of Künsch, "The jackknife and the bootstrap for
general stationary observations", Annals of Statistics 17, 1989; percentile method of Efron).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

#: Calls in a block. A round of 100 calls gives ten of them.
BLOCK = 10
#: Draws; the ends of a 95 % interval then rest on 25 draws each.
DRAWS = 1000
#: Fewer blocks say little of how much they differ.
LEAST_BLOCKS = 4
#: Drawn calls held at a time, 64 MB.
_AT_ONCE = 8_000_000


def percentile_intervals(
    rounds: Sequence[npt.NDArray[np.float64]], percentiles: Sequence[float]
) -> tuple[tuple[float, float], ...] | None:
    """Find the 95 % interval of each percentile of all calls.

    Args:
        rounds: Times of the calls of each round, in any unit.
        percentiles: Which, from 0 to 100.

    Returns:
        Low and high end for each, in the same unit; None when there are fewer than four blocks of calls.
    """
    blocks = [calls[at : at + BLOCK] for calls in rounds for at in range(0, len(calls) - BLOCK + 1, BLOCK)]
    if len(blocks) < LEAST_BLOCKS:
        return None
    table = np.stack(blocks)
    rng = np.random.default_rng(0)
    found = []
    step = max(1, _AT_ONCE // table.size)
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        chosen = table[rng.integers(len(table), size=(draws, len(table)))].reshape(draws, -1)
        found.append(np.percentile(chosen, percentiles, axis=1))
    low, high = np.percentile(np.concatenate(found, axis=1), [2.5, 97.5], axis=1)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
