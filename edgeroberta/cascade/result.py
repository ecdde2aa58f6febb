"""What was chosen for a cascade, what it was chosen from, and how sure each tier is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeroberta.tasks import Calibration


@dataclass(frozen=True)
class ReliabilityBin:
    """Texts of which a tier is about as sure, as many in each bin."""

    texts: int
    confidence: float  # the mean
    agreeing: float  # share that has the last tier's answer
    #: share whose answer is right; None without labels, and for spans, which may be right in part
    right: float | None


@dataclass(frozen=True)
class TierChoice:
    """A tier, by what it said of the fresh texts."""

    name: str
    calibration: Calibration | None  # None of the last tier
    #: least confidence with which its answer is given; None of the last tier, and of one that is not to be
    #: asked, since the promise cannot be kept with it or asking it does not pay
    threshold: float | None
    seconds: float  # mean time for a text
    share: float  # part of the texts that it answers
    agreement: float | None  # share of these that has the last tier's answer; None where it answers none
    score: float | None  # the metric on these; None without labels, and for a correlation
    agreement_alone: float  # share of all texts that it answers as the last tier does
    score_alone: float | None  # the metric on all texts; None without labels
    reliability: tuple[ReliabilityBin, ...]  # the least sure first; none of the last tier


@dataclass(frozen=True)
class FrontPoint:
    """Thresholds that were thought of, by what they do on the fresh texts."""

    thresholds: tuple[float | None, ...]  # of each tier but the last; None where it is not asked
    shares: tuple[float, ...]  # part of the texts that each tier answers, the last one included
    seconds: float  # mean time for a text that is expected
    agreement: float  # measured
    #: least agreement with the given confidence, of these thresholds alone, whatever others were tried
    bound: float
    score: float | None  # the metric; None without labels
    kept: bool  # whether the promise is kept, after all stricter ones


@dataclass(frozen=True)
class CascadeChoice:
    """The thresholds of a cascade and what they rest on."""

    agreement: float  # share of texts that is to have the last tier's answer
    confidence: float  # how sure that is to be
    kept: bool  # whether it can be promised with any thresholds that save time; if not, none is set
    reason: str  # one sentence with the numbers; where the promise is not kept, what to do
    rows: int  # different fresh texts
    calibration_rows: int
    metric: str  # name of the metric of all scores
    tiers: tuple[TierChoice, ...]  # in the order in which they are asked, the last one included
    seconds: float  # mean time for a text that is expected
    measured: float  # agreement on the fresh texts
    score: float | None  # the metric on them; None without labels
    #: the largest agreement that these rows vouch for with thresholds that save time; None where none do
    within_reach: float | None
    #: fresh texts that would do for what was asked, as far as these tell; None where no number would, and
    #: where these do
    rows_needed: int | None
    front: tuple[FrontPoint, ...]  # the strictest first

    @property
    def escalated(self) -> float:
        """Part of the texts that the last tier answers."""
        return self.tiers[-1].share

    @property
    def asked(self) -> Sequence[TierChoice]:
        """The tiers that are to be asked, the last one included."""
        return [*(tier for tier in self.tiers[:-1] if tier.threshold is not None), self.tiers[-1]]

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        tiers = [
            {**asdict(tier), "calibration": tier.calibration and tier.calibration.to_json()}
            for tier in self.tiers
        ]
        return {**asdict(self), "tiers": tiers, "escalated": self.escalated}
