"""Intervals of percentiles, for calls that are not independent of each other.

The order-statistics interval of a percentile supposes independent calls. Calls of a few milliseconds are
not: a machine that slows down for a second slows hundreds of them in a row, often a whole round. So calls
are drawn together on two levels: rounds are drawn with replacement, then, of each that was drawn, blocks of
neighbours; the interval holds the middle 95 % of what the drawn calls give (the block bootstrap of Künsch,
"The jackknife and the bootstrap for general stationary observations", Annals of Statistics 17, 1989, within
the two-stage bootstrap of Davison and Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8;
percentile method of Efron). Five rounds are few: where their medians move as much as the calls within one
do, 83 of 100 intervals hold the true median, not 95; blocks without rounds would hold it in 42.
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
    """Find the 95 % interval of each percentile of all calls; None for fewer than four blocks of calls."""
    cut = [calls[: len(calls) // BLOCK * BLOCK].reshape(-1, BLOCK) for calls in rounds if len(calls) >= BLOCK]
    counts = np.array([len(blocks) for blocks in cut])
    if counts.sum() < LEAST_BLOCKS:
        return None
    table = np.concatenate(cut)
    first = np.cumsum(counts) - counts
    # Of each round as many blocks as a round has on average; a round that was cut short comes less often.
    shape = (len(cut), max(1, len(table) // len(cut)))
    rng = np.random.default_rng(0)
    found = []
    step = max(1, _AT_ONCE // table.size)
    for start in range(0, DRAWS, step):
        draws = min(step, DRAWS - start)
        picked = rng.choice(len(cut), size=(draws, shape[0], 1), p=counts / counts.sum())
        chosen = first[picked] + rng.integers(counts[picked], size=(draws, *shape))
        found.append(np.percentile(table[chosen].reshape(draws, -1), percentiles, axis=1))
    low, high = np.percentile(np.concatenate(found, axis=1), [2.5, 97.5], axis=1)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
