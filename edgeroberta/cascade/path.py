"""The order in which thresholds are tried: from the strictest on, fixed before any fresh row is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeroberta.cascade.evidence import Asked

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

#: Thresholds of a tier: from one to the next it answers half a point more of the texts.
STEPS = 200


@dataclass(frozen=True)
class Thresholds:
    """The least confidence of each tier but the last; None where it is not asked."""

    values: tuple[float | None, ...]

    def answering(self, confidence: Floats) -> Indices:
        """Return who answers each text, int64[n]; ``confidence``: float64 ``[tiers - 1, n]``."""
        who = np.full(confidence.shape[1], len(self.values), np.int64)
        for tier in reversed(range(len(self.values))):
            least = self.values[tier]
            if least is not None:
                who[confidence[tier] >= least] = tier
        return who

    def seconds(self, who: Indices, seconds: Sequence[float]) -> Floats:
        """Return the time that each text takes, float64[n]: that of the tiers asked before it, too."""
        asked = [*(value is not None for value in self.values), True]
        return np.cumsum(np.where(asked, seconds, 0.0))[who]


def thresholds(confidence: Floats, steps: int = STEPS) -> Floats:
    """Return thresholds that let more and more texts through, float64[m] descending, m at most ``steps``.

    Each lies midway between two neighbouring values, so that the last digit of a confidence, which another
    batch may change, decides nothing; the last one lies below all of them. ``confidence``: float64[n], -inf
    of texts that no threshold lets through.
    """
    confidence = confidence[np.isfinite(confidence)]
    if not len(confidence):
        return confidence
    values = np.unique(confidence)
    counts = np.ceil(np.arange(1, steps + 1) * len(confidence) / steps).astype(np.int64)
    places = np.unique(np.searchsorted(values, np.sort(confidence)[len(confidence) - counts]))[::-1]
    gap = values[1] - values[0] if len(values) > 1 else abs(values[0]) or 1.0
    below = np.concatenate([[values[0] - gap], values])[places]
    middle = (values[places] + below) / 2
    # Between neighbouring numbers there is no middle.
    return np.where(middle > below, middle, values[places])


def path(asked: Asked, seconds: Sequence[float], steps: int = STEPS) -> list[Thresholds]:
    """Order thresholds from the strictest on, each cheaper than all before it.

    A step lowers the threshold of one tier, that which leads to the most time saved for a changed answer on
    these rows. So with two tiers it is that of the first; with more, their best combination of each level.
    Left out are those with which a text takes longer than with the last tier alone.

    Args:
        asked: What the tiers say of the calibration rows.
        seconds: Mean time of a text on each tier, the last one included.
        steps: Thresholds of each tier.
    """
    walk = _Walk(asked, seconds, steps)
    found, best = [], seconds[-1]
    while walk.step():
        now = walk.thresholds()
        cost = float(now.seconds(now.answering(asked.confidence), seconds).mean())
        if cost < best:
            found.append(now)
            best = cost
    return found


class _Walk:
    """Where thresholds stand, and what the next step is."""

    def __init__(self, asked: Asked, seconds: Sequence[float], steps: int) -> None:
        tiers = len(seconds) - 1
        self._values = [thresholds(asked.confidence[tier], steps) for tier in range(tiers)]
        #: int64 ``[tiers - 1, n]``: the first level, from 1 on, at which a tier answers a text
        self._levels = np.array(
            [
                1 + (sure[:, None] < values).sum(axis=1)
                for sure, values in zip(asked.confidence, self._values, strict=True)
            ]
        )
        self._differs = np.vstack([asked.differs, np.zeros(len(asked), np.bool_)]).astype(np.float64)
        self._seconds = np.asarray(seconds, np.float64)
        self._now = [0] * tiers  # level of each tier; at 0 it is not asked

    def thresholds(self) -> Thresholds:
        """Return where they stand."""
        return Thresholds(
            tuple(
                float(values[now - 1]) if now else None
                for values, now in zip(self._values, self._now, strict=True)
            )
        )

    def step(self) -> bool:
        """Lower the threshold that pays most by one level; False where none pays any more."""
        gains = [self._gain(tier) for tier in range(len(self._now))]
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            return False
        self._now[best] += 1
        return True

    def _gain(self, tier: int) -> float:
        """Return the most time that is saved for a changed answer by any lower threshold of a tier."""
        now, levels, most = self._now[tier], self._levels[tier], len(self._values[tier])
        who = np.full(levels.shape, len(self._now))
        for other in reversed(range(len(self._now))):
            who[self._levels[other] <= self._now[other]] = other
        spent = np.cumsum(np.where([*self._now, 1], self._seconds, 0.0))
        later = np.flatnonzero(who > tier)  # a lower threshold may have these answered here
        if now == most or not len(later):
            return 0.0

        def by_level(values: Floats) -> Floats:
            """Add up what changes at each lower threshold, float64[most - now]."""
            sums = np.bincount(levels[later], weights=values, minlength=most + 2)
            return np.cumsum(sums[now + 1 : most + 1])

        saved = by_level(spent[who[later]] - spent[tier])
        if now == 0:  # from now on all these are asked
            saved -= self._seconds[tier] * len(later)
        changed = by_level(self._differs[tier, later] - self._differs[who[later], later])
        # One more, since what no row shows is not impossible.
        return float((saved / (np.maximum(changed, 0.0) + 1)).max())
