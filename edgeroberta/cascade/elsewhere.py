"""What the chosen thresholds of a cascade come to where its tiers say something a little different."""

from __future__ import annotations

from collections.abc import Sequence

from edgeroberta.cascade.evidence import Asked, Bools
from edgeroberta.cascade.fresh import Fresh
from edgeroberta.cascade.path import Thresholds
from edgeroberta.cascade.result import CascadeChoice, FrontPoint
from edgeroberta.tasks import Calibration, Outputs, Task


def measure(
    task: Task, choice: CascadeChoice, outputs: Sequence[Outputs], takes: Sequence[Bools | None] = ()
) -> FrontPoint:
    """Measure the chosen thresholds on what the tiers say on another engine.

    Args:
        task: What the outputs mean, with the tolerance that the choice had (:func:`.with_tolerance`).
        choice: The thresholds, with a confidence of each tier but the last.
        outputs: Of each tier of the choice, the last one's last, for n texts, each once.
        takes: Of each tier but the last, bool[n], as :class:`.TierEvidence` has it; none where all take all.

    Returns:
        Shares and agreement there. ``kept`` says whether these texts alone vouch for the promise there.
    """
    calibrations = [tier.calibration or Calibration() for tier in choice.tiers[:-1]]
    thresholds = Thresholds(tuple(tier.threshold for tier in choice.tiers[:-1]))
    seconds = [tier.seconds for tier in choice.tiers]
    found = Fresh(task, Asked.of(task, outputs, calibrations, takes), None, seconds, choice.confidence)
    return found.point(thresholds, kept=found.keeps(thresholds, choice.agreement))
