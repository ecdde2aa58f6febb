"""What each tier of a cascade did in a measurement, and what a text takes that passes all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeroberta.measure.clock import TimedCalls
from edgeroberta.tasks import Outputs


@dataclass(frozen=True)
class TierUse:
    """One tier."""

    name: str
    share: float | None  # of the rows of data it answered this part; None without rows
    calls: int  # timed calls with single texts that it answered
    #: their median, what was spent on the tiers before it included; None where there were none
    p50_ms: float | None


@dataclass(frozen=True)
class WorstCase:
    """Calls in which every text was sent through all tiers, whatever they said."""

    mean_ms: float
    p50_ms: float
    p99_ms: float
    calls: int


@dataclass(frozen=True)
class CascadeUse:
    """All tiers of a cascade."""

    tiers: tuple[TierUse, ...]  # in the order in which they are asked
    worst: WorstCase | None  # None where no texts were timed

    @property
    def escalated(self) -> float | None:
        """Share of the rows that the last tier answered; None without rows."""
        return self.tiers[-1].share


def sum_up(
    names: Sequence[str],
    rounds: Sequence[TimedCalls],
    through: Sequence[TimedCalls],
    outputs: Outputs | None,
) -> CascadeUse:
    """Sum up what the tiers of these names did.

    ``rounds``: calls with single texts as a user makes them; their ``tiers`` say who answered. ``through``:
    calls that went through all tiers. ``outputs``: of all rows of data; None without rows.
    """
    seconds = np.concatenate([np.asarray(calls.seconds) for calls in rounds] or [np.empty(0)])
    answered = [number for calls in rounds for number in calls.tiers]
    answers = None if outputs is None or outputs.tiers is None else outputs.tiers
    found = []
    for number, name in enumerate(names):
        own = seconds[np.equal(answered, number)]
        share = None if answers is None or not len(answers) else float((answers == number).mean())
        p50 = float(np.median(own) * 1000) if len(own) else None
        found.append(TierUse(name, share, len(own), p50))
    return CascadeUse(tuple(found), _worst(through))


def _worst(through: Sequence[TimedCalls]) -> WorstCase | None:
    calls = np.concatenate([np.asarray(each.seconds) for each in through] or [np.empty(0)]) * 1000
    if not len(calls):
        return None
    p50, p99 = np.percentile(calls, (50, 99))
    return WorstCase(float(calls.mean()), float(p50), float(p99), len(calls))
