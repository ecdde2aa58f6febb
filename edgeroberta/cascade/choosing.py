"""Chooses the thresholds of a cascade so that its agreement with the last tier is promised, not hoped for.

The thresholds lie on a path that the calibration rows fix. Along it, from the strictest on, the fresh rows
are asked whether the agreement is as high as wanted: by an exact binomial test of the texts that would be
answered in another way, among all of them. The first failure ends it. So no matter how many thresholds are
tried, with the given confidence none of those that passed keeps less than was asked: fixed-sequence testing,
as in Angelopoulos et al., Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.cascade.calibration import fit
from edgeroberta.cascade.evidence import Asked, TierEvidence, check, with_tolerance
from edgeroberta.cascade.fresh import Fresh
from edgeroberta.cascade.path import Thresholds, path
from edgeroberta.cascade.result import CascadeChoice, FrontPoint
from edgeroberta.metrics.binomial import rows_needed
from edgeroberta.tasks import Calibration, Task

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

#: Points of the path that a report shows.
FRONT_POINTS = 40


def choose(
    task: Task,
    tiers: Sequence[TierEvidence],
    *,
    labels: Any,
    fresh_labels: Any = None,
    groups: Array | None = None,
    agreement: float = 0.99,
    confidence: float = 0.95,
) -> CascadeChoice:
    """Choose the thresholds with which a cascade is fastest and keeps what is asked.

    Args:
        task: What the outputs mean.
        tiers: What each tier said, in the order in which they are asked, the last one last.
        labels: Of the calibration rows, for the temperatures; None where there are none, then the last
            tier's answers count as right.
        fresh_labels: Of the fresh rows, for the scores; None where there are none.
        groups: [fresh rows], equal for rows of equal texts, which count once; None where all differ.
        agreement: Share of texts that is to have the last tier's answer, above 0 and below 1.
        confidence: How sure that is to be, above 0 and below 1: chosen so again and again, thresholds that
            keep less come up in at most the rest of the cases.

    Returns:
        The choice. Where no thresholds keep what is asked and save time, no tier but the last is to be asked;
        the choice then says what could be promised, and how many rows it would take.

    Raises:
        UsageError: The task has no confidence, or an argument is out of range.
        EdgeRobertaError: Outputs are not finite, or of other rows than those of the other tiers.
    """
    check(task, tiers, groups, {"agreement": agreement, "confidence": confidence})
    last = tiers[-1].calibration
    task = with_tolerance(task, last)
    calibrations = [fit(task, tier.calibration, last, labels) for tier in tiers[:-1]]
    tried = _path(task, tiers, calibrations)
    rows = _different(groups, len(tiers[-1].fresh))
    fresh = _fresh(task, tiers, calibrations, rows, fresh_labels, confidence)
    passed = _passed(fresh, tried, agreement)
    none = Thresholds((None,) * (len(tiers) - 1))
    chosen = tried[passed - 1] if passed else none
    point = fresh.point(chosen, kept=True)
    reach, needed, reason = _told(fresh, tried, agreement, point if passed else None)
    kept = passed > 0
    if kept and point.seconds >= tiers[-1].seconds:
        # The path saves time on the calibration rows. The last tier alone keeps every promise, so the fresh
        # rows may decide for it.
        kept, chosen, point = False, none, fresh.point(none, kept=True)
        reason = (
            f"the thresholds that keep {100 * agreement:.4g} % agreement save no time on the {len(rows):,}"
            " fresh texts: too few of them are answered before the last tier"
        )
    return CascadeChoice(
        agreement=agreement,
        confidence=confidence,
        kept=kept,
        reason=reason,
        rows=len(rows),
        calibration_rows=len(last),
        metric=task.metric,
        tiers=fresh.tiers(chosen, [tier.name for tier in tiers], calibrations),
        seconds=point.seconds,
        measured=point.agreement,
        score=point.score,
        within_reach=reach,
        rows_needed=needed,
        front=_front(fresh, [none, *tried], passed),
    )


def _path(task: Task, tiers: Sequence[TierEvidence], calibrations: Sequence[Calibration]) -> list[Thresholds]:
    """Order thresholds by what the tiers say of the calibration rows."""
    takes = [tier.takes_calibration for tier in tiers[:-1]]
    known = Asked.of(task, [tier.calibration for tier in tiers], calibrations, takes)
    return path(known, [tier.seconds for tier in tiers])


def _fresh(
    task: Task,
    tiers: Sequence[TierEvidence],
    calibrations: Sequence[Calibration],
    rows: Indices,
    labels: Any,
    confidence: float,
) -> Fresh:
    """Ask the tiers about some of the fresh rows; ``labels``: of all of them, or None."""
    takes = [None if tier.takes_fresh is None else tier.takes_fresh[rows] for tier in tiers[:-1]]
    asked = Asked.of(task, [tier.fresh[rows] for tier in tiers], calibrations, takes)
    truth = None if labels is None else task.truth(labels[rows])
    return Fresh(task, asked, truth, [tier.seconds for tier in tiers], confidence)


def _passed(fresh: Fresh, tried: Sequence[Thresholds], agreement: float) -> int:
    """Return how many thresholds keep the agreement for sure, from the first on, until one does not."""
    for number, thresholds in enumerate(tried):
        if not fresh.keeps(thresholds, agreement):
            return number
    return len(tried)


def _different(groups: Array | None, rows: int) -> Indices:
    """Return the first row of each different text, int64, ascending."""
    if groups is None:
        return np.arange(rows)
    return np.sort(np.unique(groups, return_index=True)[1])


def _told(
    fresh: Fresh, tried: Sequence[Thresholds], agreement: float, point: FrontPoint | None
) -> tuple[float | None, int | None, str]:
    """Say what could be promised at most, how many texts would do for what was asked, and why.

    ``point``: what was chosen; None where nothing keeps the promise. The first thresholds of the path are
    fixed, too, so what is sure of them may be promised in place of what was asked.
    """
    asked, sure = f"{100 * agreement:.4g} %", f"{100 * fresh.confidence:.4g} %"
    if not tried:
        return None, None, "no thresholds are faster than the last tier alone, by the times of the tiers"
    reach = fresh.bound(tried[0])
    if point is not None:
        return (
            reach,
            None,
            f"{1 - point.shares[-1]:.1%} of the texts are answered before the last tier; {asked} of all have "
            f"its answer, with {sure} confidence ({point.agreement:.2%} of {len(fresh):,} fresh texts)",
        )
    changed = fresh.changed(tried[0])
    needed = rows_needed(agreement, fresh.confidence, changed / len(fresh))
    more = (
        "and no number of rows would show it, as far as these tell"
        if needed is None
        else f"which about {needed:,} would show"
    )
    # Down, so that it holds.
    least = math.floor(reach * 1000) / 1000
    return (
        reach,
        needed,
        f"{asked} agreement cannot be promised with {sure} confidence: of {len(fresh):,} fresh texts "
        f"{changed:,} change with the strictest thresholds that save time, {more}; an agreement of {least:g} "
        "can be",
    )


def _front(fresh: Fresh, points: Sequence[Thresholds], passed: int) -> tuple[FrontPoint, ...]:
    """Measure some of the points, the strictest first; those up to ``passed`` keep the promise."""
    shown = np.linspace(0, len(points) - 1, min(len(points), FRONT_POINTS)).round().astype(np.int64)
    return tuple(
        fresh.point(points[number], kept=number <= passed) for number in np.union1d(shown, [passed]).tolist()
    )
