"""Whether a cascade passes on as many texts as it did when its thresholds were chosen.

The promise of a cascade is about texts such as those that its thresholds were chosen by. Which labels new
texts should get nobody knows here, but it shows how many of them a tier is unsure of: where that share has
changed, the texts have. The last texts are compared with those of the choice by Fisher's exact test, which
knows that both counts are off by chance; each comparison gets its part of the false alarms that are allowed.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeroberta.runtime.tier_facts import CascadeFacts

logger = logging.getLogger(__name__)

#: Texts in which a server on unchanged ones warns at all with the probability that its settings name.
HORIZON = 200_000
#: The texts are looked at this often per window.
LOOKS = 4
#: A warning ends when the last texts are within what 19 of 20 windows of unchanged texts show.
ENDS = 0.05


@dataclass(frozen=True)
class Usual:
    """How many of a window's texts are passed on while nothing has changed."""

    low: int
    high: int

    def holds(self, count: int) -> bool:
        """Tell whether so many are usual."""
        return self.low <= count <= self.high


def usual(window: int, passed: int, rows: int, level: float) -> Usual:
    """Find what Fisher's exact test takes for the same share as ``passed`` of ``rows`` texts.

    ``window``: texts that are compared with these. ``level``: largest probability that a count beyond the
    bounds comes up although the share is the same, both sides together.
    """
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, window + rows + 1)))])

    def at_least(count: int) -> float:
        """Probability that so many or more of all that were passed on fall into the window."""
        total = passed + count
        several = np.arange(count, min(window, total) + 1)
        several = several[total - several <= rows]
        ways = _choose(logs, window, several) + _choose(logs, rows, total - several)
        return float(np.exp(ways - _choose(logs, window + rows, np.array(total))).sum())

    def at_most(count: int) -> float:
        total = passed + count
        several = np.arange(max(0, total - rows), count + 1)
        ways = _choose(logs, window, several) + _choose(logs, rows, total - several)
        return float(np.exp(ways - _choose(logs, window + rows, np.array(total))).sum())

    half = level / 2
    high = _last(window, lambda count: at_least(count) > half)
    low = window - _last(window, lambda count: at_most(window - count) > half)
    return Usual(low, high)


def _choose(logs: Any, items: int, some: Any) -> Any:
    """Return the logarithm of the number of ways to choose some of several items."""
    return logs[items] - logs[some] - logs[items - some]


def _last(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number up to ``most`` of which something holds that holds of all smaller ones."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


class DriftMonitor:
    """Counts which tiers answered the last texts, and warns where that has changed.

    Used from one thread. ``cascade``: what the manifest says. ``window``: texts that are compared.
    ``false_alarms``: largest probability of a warning in :data:`HORIZON` texts like those of the choice; 0
    for no warnings. ``warning``: what is wrong while the last texts are unlike those of the choice, else
    None.
    """

    def __init__(self, cascade: CascadeFacts, *, window: int, false_alarms: float) -> None:
        self._cascade = cascade
        self._window = window
        self._places = {name: place for place, name in enumerate(cascade.names)}
        self._last: deque[int] = deque(maxlen=window)
        #: of the window, how many each tier answered
        self._counts = [0] * len(self._places)
        self._seen = 0
        self._step = max(1, window // LOOKS)
        looks = 1 + math.ceil(max(0, HORIZON - window) / self._step)
        tiers = cascade.tiers
        shares = 1 - np.cumsum([tier.share for tier in tiers])  # of the texts, those beyond each tier
        passed = [round(float(share) * cascade.rows) for share in shares]
        self._warns, self._ends = (
            [usual(window, count, cascade.rows, level / len(tiers)) for count in passed]
            if false_alarms
            else []
            for level in (false_alarms / looks, ENDS)
        )
        self.warning: str | None = None

    @property
    def escalated(self) -> float:
        """Share of the last texts that the last tier answered; NaN before the first text."""
        return self._counts[-1] / len(self._last) if self._last else math.nan

    @property
    def expected(self) -> float:
        """The same share where the thresholds were chosen."""
        return self._cascade.escalated

    def add(self, tiers: Iterable[str]) -> None:
        """Count which tiers answered some texts, and compare when it is time to."""
        for name in tiers:
            place = self._places[name]
            if len(self._last) == self._window:
                self._counts[self._last[0]] -= 1
            self._last.append(place)
            self._counts[place] += 1
            self._seen += 1
            if self._warns and self._seen >= self._window and not (self._seen - self._window) % self._step:
                self._look()

    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Return what is known, for Prometheus: name to its meaning and its value."""
        what = f"Share of the last {self._window} texts that the last tier answered."
        drift = "1 while the last texts are passed on in other shares than those, else 0."
        return {
            "escalated_share": (what, lambda: self.escalated),
            "escalated_share_expected": (
                "The same share where the thresholds were chosen.",
                lambda: self.expected,
            ),
            "escalation_drift": (drift, lambda: self.warning is not None),
        }

    def to_json(self) -> dict[str, Any]:
        """Return what is known, for ``/health``."""
        return {
            "escalated": None if math.isnan(self.escalated) else self.escalated,
            "expected": self.expected,
            "texts": len(self._last),
            "warning": self.warning,
        }

    def _look(self) -> None:
        beyond = [sum(self._counts[place + 1 :]) for place in range(len(self._cascade.tiers))]
        if self.warning is None:
            bounds = self._warns
            odd = [place for place, count in enumerate(beyond) if not bounds[place].holds(count)]
            if odd:
                self.warning = self._told(odd[0], beyond[odd[0]], bounds[odd[0]])
                logger.warning("%s", self.warning)
        elif all(bounds.holds(count) for bounds, count in zip(self._ends, beyond, strict=True)):
            self.warning = None
            logger.warning("the tiers' shares of the last %d texts are as usual again", self._window)

    def _told(self, place: int, count: int, bounds: Usual) -> str:
        tiers, window, rows = self._cascade.tiers, self._window, self._cascade.rows
        before = 1 - sum(tier.share for tier in tiers[: place + 1])
        promise = f"{100 * self._cascade.agreement:.4g}%"  # never rounded up to all
        return (
            f"the texts have changed: {tiers[place].name} passed on {count / window:.1%} of the last "
            f"{window:,}, and {before:.1%} of the {rows:,} that the thresholds were chosen by (usual: "
            f"{bounds.low / window:.1%} to {bounds.high / window:.1%}); whether {promise} still get the "
            "answer of the last tier is not known: make the cascade again with such texts"
        )
