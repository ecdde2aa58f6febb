"""95 % intervals of the figures of timed calls, by the two-stage bootstrap.

Calls that follow each other are slow together, and so are those of a round: rounds are drawn, and blocks of
neighbouring calls in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Calls in a block. A round of 100 calls gives ten of them.
BLOCK = 10
#: Draws; the ends of a 95 % interval then rest on 25 draws each.
DRAWS = 1000
#: Fewer blocks say little of how much they differ.
LEAST_BLOCKS = 4
#: Drawn calls held at a time, 64 MB.
_AT_ONCE = 8_000_000


def intervals(
    rounds: Sequence[Floats], figures: Callable[[Floats], Floats]
) -> tuple[tuple[float, float], ...] | None:
    """Find the 95 % interval of each figure of all calls; None for fewer than four blocks of calls.

    ``figures``: makes float64 ``[figures, draws]`` of drawn calls, float64 ``[draws, calls]``.
    """
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
        found.append(figures(table[chosen].reshape(draws, -1)))
    low, high = np.percentile(np.concatenate(found, axis=1), [2.5, 97.5], axis=1)
    return tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
