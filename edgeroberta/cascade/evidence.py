"""What tiers said of rows: how sure each is, and where it says what the last one does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import UsageError
from edgeroberta.metrics.scores import checked
from edgeroberta.tasks import Calibration, Outputs, Problem, Task
from edgeroberta.tasks.regression import tolerance

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TierEvidence:
    """A tier, and what it said of the rows that thresholds are chosen by."""

    name: str
    calibration: Outputs  # of rows that it was not trained on: they order the thresholds to try
    fresh: Outputs  # of rows that nothing has seen: they tell what a threshold keeps
    seconds: float  # mean time for a text
    #: bool[rows], whether it takes each of these texts; longer ones it passes on. None where it takes all
    takes_calibration: Bools | None = None
    takes_fresh: Bools | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """What the tiers but the last say of n rows, beside the last one."""

    confidence: Floats  # float64 ``[tiers - 1, n]``; -inf of texts that a tier passes on unread
    differs: npt.NDArray[np.bool_]  # ``[tiers - 1, n]``, where the answer is not the last tier's
    answers: tuple[Array, ...]  # each tier's, the last one's included, as ``task.decide`` gives them

    def __len__(self) -> int:
        return self.confidence.shape[1]

    @classmethod
    def of(
        cls,
        task: Task,
        outputs: Sequence[Outputs],
        calibrations: Sequence[Calibration],
        takes: Sequence[Bools | None] = (),
    ) -> Asked:
        """Ask what outputs of the tiers say, the last one's last.

        ``calibrations``: of all but that. ``takes``: as :class:`TierEvidence` has it, of the same; none where
        all take every text.
        """
        answers = tuple(task.decide(each) for each in outputs)
        sure = np.array(
            [
                task.kind.confidence(task, each, calibration)
                for each, calibration in zip(outputs[:-1], calibrations, strict=True)
            ],
            np.float64,
        )
        for number, taken in enumerate(takes):
            if taken is not None:
                sure[number, ~taken] = -np.inf
        differs = [~task.kind.agrees(task, answers[-1], each) for each in answers[:-1]]
        return cls(sure, np.array(differs, np.bool_), answers)


def possible(task: Task) -> bool:
    """Tell whether answers of one model can stand for another's: those of embeddings cannot."""
    return task.problem is not Problem.EMBEDDING


def with_tolerance(task: Task, last: Outputs) -> Task:
    """Fix what counts as the same number before a fresh row is looked at.

    ``last``: the last tier's outputs on the calibration rows. Other tasks stay as they are.
    """
    if task.problem is not Problem.REGRESSION or task.tolerance is not None:
        return task
    return replace(task, tolerance=tolerance(last.values[:, 0]))


def check(
    task: Task, tiers: Sequence[TierEvidence], groups: Array | None, shares: Mapping[str, float]
) -> None:
    """Refuse evidence that nothing can be chosen by, and numbers that cannot be promised.

    ``shares``: by name, each above 0 and below 1. Raises UsageError: one is not, the task has no confidence,
    or tiers lack a name or a time of their own. EdgeRobertaError: outputs are not finite, or not of as many
    rows as the others'.
    """
    for name, share in shares.items():
        if not 0 < share < 1:
            raise UsageError(f"{name} is {share!r}", where=name, hint="a number above 0 and below 1")
    if not possible(task):
        raise UsageError(
            "embeddings of two models cannot stand for each other, so there is no cascade of them",
            hint="compress one model",
            code="usage.no-cascade",
        )
    names = [tier.name for tier in tiers]
    if len(tiers) < 2 or len(set(names)) < len(names):
        raise UsageError(f"a cascade has two tiers or more with names of their own, not {names}")
    for tier in tiers:
        if not (math.isfinite(tier.seconds) and tier.seconds > 0):
            raise UsageError(f"the tier {tier.name!r} takes {tier.seconds} seconds for a text")
        checked(task, tier.calibration, len(tiers[-1].calibration))
        checked(task, tier.fresh, len(tiers[-1].fresh))
        for taken, outputs in ((tier.takes_calibration, tier.calibration), (tier.takes_fresh, tier.fresh)):
            if taken is not None and len(taken) != len(outputs):
                raise UsageError(
                    f"the tier {tier.name!r} takes or passes on {len(taken)} of {len(outputs)} texts"
                )
    if groups is not None and len(groups) != len(tiers[-1].fresh):
        raise UsageError(f"there are {len(groups)} groups for {len(tiers[-1].fresh)} fresh rows")
