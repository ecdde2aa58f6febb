"""Exact bounds on a share of which a few of many texts tell, after Clopper and Pearson.

C. J. Clopper and E. S. Pearson, The Use of Confidence or Fiducial Limits Illustrated in the Case of the
Binomial (1934). One-sided, and by the distribution itself, so that they hold for any share and any number of
texts; without scipy, which few machines need besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

#: Bisections of an end: its last digit of a float64.
_STEPS = 60
#: Most texts that are thought of to tell how many would do.
_MOST = 10**6


def probability_of_at_most(hits: int, n: int, share: float) -> float:
    """Return the probability of at most so many hits among n texts, each of which is one with a probability.

    ``hits``: 0 … n. ``share``: 0 … 1.
    """
    if share <= 0 or hits >= n:
        return 1.0
    if share >= 1:
        return 0.0
    # From the last term down, each by its ratio to the one above; twelve standard deviations below that one
    # or the mean, whichever is less, they no longer count.
    reach = 60 + math.ceil(12 * math.sqrt(n * share * (1 - share)) + max(0.0, hits - n * share))
    above = np.arange(hits, max(hits - reach, 0), -1)
    ratios = above / (n - above + 1) * ((1 - share) / share)
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios))])
    ways = math.lgamma(n + 1) - math.lgamma(hits + 1) - math.lgamma(n - hits + 1)
    last = ways + hits * math.log(share) + (n - hits) * math.log1p(-share)
    top = float(logs.max())
    return min(1.0, math.exp(last + top) * float(np.exp(logs - top).sum()))


@lru_cache(1 << 14)
def upper_bound(hits: int, n: int, confidence: float) -> float:
    """Return the largest share of which so few hits are not too few; 1 where there are no texts.

    ``hits``: of n texts. ``confidence``: that the true share is not above it, such as 0.95.
    """
    if not 0 <= hits <= n:
        raise ValueError(f"{hits} of {n} texts")
    if hits == n:
        return 1.0
    if hits == 0:
        return -math.expm1(math.log1p(-confidence) / n)
    low, high = hits / n, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if probability_of_at_most(hits, n, middle) > 1 - confidence else (low, middle)
        )
    return high


def lower_bound(hits: int, n: int, confidence: float) -> float:
    """Return the smallest share of which so many hits are not too many; 0 where there are no texts."""
    return 1 - upper_bound(n - hits, n, confidence)


def rows_needed(agreement: float, confidence: float, disagreement: float = 0.0) -> int | None:
    """Return the fewest texts whose bound is at least an agreement, where so large a share disagrees.

    ``agreement`` and ``confidence``: above 0 and below 1. Without any disagreement it is
    ``log(1 - confidence) / log(agreement)``: 299 for 0.99 and 0.95. Returns None where no million texts
    would do, as where more disagree than may.
    """
    if disagreement >= 1 - agreement:
        return None

    def texts(hits: int) -> int:
        """Return the fewest texts among which so many that disagree are few enough."""
        return _first(
            lambda n: probability_of_at_most(hits, n, 1 - agreement) <= 1 - confidence, hits + 1, _MOST
        )

    hits = _first(lambda hits: texts(hits) * disagreement <= hits, 0, int(_MOST * disagreement) + 1)
    found = texts(hits)
    return found if found < _MOST else None


def _first(holds: Callable[[int], bool], low: int, most: int) -> int:
    """Return the first number from ``low`` on for which something holds, that holds from there on."""
    step = 1
    high = low
    while high < most and not holds(high):
        low, high, step = high + 1, min(high + step, most), 2 * step
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return high
