"""The multiple-choice knapsack: one option for each item, of most value together, within a budget.

Solved by dynamic programming over costs in small bins: costs may jump, as measured ones do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

#: Steps in which costs are counted. An optimum that leaves ``items / BINS`` of the budget (0.3 % for 12
#: layers) is always found; closer to the budget what is found may be worth a little less than the best.
BINS = 4096
Ints = npt.NDArray[np.int64]

#: What rounding of floats may add to a sum of costs.
_SLACK = 1e-9


class Option(Protocol):
    """What may be chosen for an item."""

    @property
    def cost(self) -> float:
        """What it takes of the budget."""

    @property
    def value(self) -> float:
        """What it is worth."""


OptionT = TypeVar("OptionT", bound=Option)


def least(items: Sequence[Sequence[Option]]) -> float:
    """Return what the cheapest options of all items cost together."""
    return sum(min(option.cost for option in options) for options in items)


def choose(items: Sequence[Sequence[OptionT]], budget: float) -> list[OptionT]:
    """Choose one option for each item. ``budget``: what they may cost together; at least :func:`least`."""
    useful = [_useful(options) for options in items]
    places = _improved(useful, _solved(useful, budget), budget)
    return [options[place] for options, place in zip(useful, places, strict=True)]


def _useful(options: Sequence[OptionT]) -> list[OptionT]:
    """Leave out options that cost as much as another and are worth less; cheapest first."""
    result: list[OptionT] = []
    for option in sorted(options, key=lambda option: (option.cost, -option.value)):
        if not result or option.value > result[-1].value:
            result.append(option)
    return result


def _solved(items: Sequence[Sequence[Option]], budget: float) -> list[int]:
    """Choose places among options of rising cost, costs rounded down to bins."""
    spare = budget - sum(options[0].cost for options in items)
    if spare <= 0:
        return [0] * len(items)
    bins = [_bins(options, spare / BINS) for options in items]
    best = np.zeros(BINS + 1)  # best[b]: most value of the items so far at an extra cost of b bins
    picks = []
    for options, extras in zip(items, bins, strict=True):
        table, pick = np.full(BINS + 1, -np.inf), np.zeros(BINS + 1, np.int64)
        for place, (option, extra) in enumerate(zip(options, extras, strict=True)):
            if extra > BINS:
                break
            value = best[: BINS + 1 - extra] + option.value
            better = value > table[extra:]
            table[extra:][better] = value[better]
            pick[extra:][better] = place
        best = table
        picks.append(pick)
    # Rounded down, the choice may cost up to a bin per item more than it says: the fullest that fits.
    for full in range(BINS, max(BINS - len(items), 0), -1):
        chosen = _traced(bins, picks, full)
        extra = sum(
            options[place].cost - options[0].cost for options, place in zip(items, chosen, strict=True)
        )
        if extra <= spare * (1 + _SLACK):
            return chosen
    return _traced(bins, picks, max(BINS - len(items), 0))


def _traced(bins: Sequence[Ints], picks: Sequence[Ints], full: int) -> list[int]:
    """Follow the choices back from so many filled bins."""
    chosen = []
    for extras, pick in zip(reversed(bins), reversed(picks), strict=True):
        place = int(pick[full])
        chosen.append(place)
        full -= int(extras[place])
    return chosen[::-1]


def _bins(options: Sequence[Option], size: float) -> Ints:
    """Return what each option costs beyond the first, in whole bins, int64[options]."""
    costs = np.array([option.cost for option in options])
    # Beyond the last bin nothing fits: capped, so that no ratio is too large for an integer.
    return np.minimum(np.floor((costs - costs[0]) / size + _SLACK), BINS + 1).astype(np.int64)


def _improved(items: Sequence[Sequence[Option]], chosen: list[int], budget: float) -> list[int]:
    """Spend what rounding left over: one item at a time gets what adds most value and still fits."""
    chosen = list(chosen)
    while True:
        spent = sum(options[place].cost for options, place in zip(items, chosen, strict=True))
        gains = [
            (option.value - options[place].value, -index, other)
            for index, (options, place) in enumerate(zip(items, chosen, strict=True))
            for other, option in enumerate(options)
            if option.value > options[place].value and spent + option.cost - options[place].cost <= budget
        ]
        if not gains:
            return chosen
        _, index, other = max(gains)
        chosen[-index] = other
