"""What thresholds do on fresh rows: who answers, in which time, how much changes, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta.cascade.evidence import Asked
from edgeroberta.cascade.path import Thresholds
from edgeroberta.cascade.result import FrontPoint, ReliabilityBin, TierChoice
from edgeroberta.metrics.binomial import lower_bound, probability_of_at_most
from edgeroberta.metrics.scores import of_answers
from edgeroberta.tasks import Calibration, Problem, Task

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]

#: Bins of a reliability diagram at most, and texts in one at least.
BINS, _TEXTS_PER_BIN = 10, 20


@dataclass(frozen=True, eq=False)
class Fresh:
    """What the tiers said of different texts that nothing has seen."""

    task: Task
    asked: Asked
    truth: Array | None  # as ``task.truth`` gives it; None where there are no labels
    seconds: Sequence[float]  # mean time of a text on each tier
    confidence: float

    def __len__(self) -> int:
        return len(self.asked)

    def changed(self, thresholds: Thresholds) -> int:
        """Return how many texts get another answer than the last tier's."""
        return int(self._differs(thresholds.answering(self.asked.confidence)).sum())

    def keeps(self, thresholds: Thresholds, agreement: float) -> bool:
        """Tell whether so few texts get another answer that the agreement is sure to be as high.

        Sure is what is wrong with a probability of ``1 - confidence`` at most, for thresholds that were fixed
        before these texts were looked at.
        """
        changed = self.changed(thresholds)
        return probability_of_at_most(changed, len(self), 1 - agreement) <= 1 - self.confidence

    def bound(self, thresholds: Thresholds) -> float:
        """Return the largest agreement that is sure in this sense; the last tier's with itself is 1."""
        if not any(value is not None for value in thresholds.values):
            return 1.0
        return lower_bound(len(self) - self.changed(thresholds), len(self), self.confidence)

    def point(self, thresholds: Thresholds, *, kept: bool) -> FrontPoint:
        """Measure thresholds."""
        who = thresholds.answering(self.asked.confidence)
        shares = np.bincount(who, minlength=len(self.seconds)) / len(self)
        return FrontPoint(
            thresholds=thresholds.values,
            shares=tuple(shares.tolist()),
            seconds=float(thresholds.seconds(who, self.seconds).mean()),
            agreement=1 - float(self._differs(who).mean()),
            bound=self.bound(thresholds),
            score=self._score(self._given(who)),
            kept=kept,
        )

    def tiers(
        self, thresholds: Thresholds, names: Sequence[str], calibrations: Sequence[Calibration]
    ) -> tuple[TierChoice, ...]:
        """Tell of each tier what it answers, and what it would alone; ``calibrations`` are of all but one."""
        who = thresholds.answering(self.asked.confidence)
        found = []
        for tier, name in enumerate(names):
            own = np.flatnonzero(who == tier)
            same = ~self._differs(np.full(len(self), tier))
            answers, last = self.asked.answers[tier], tier == len(names) - 1
            correlation = self.task.kind.metrics[self.task.metric].correlation
            found.append(
                TierChoice(
                    name=name,
                    calibration=None if last else calibrations[tier],
                    threshold=None if last else thresholds.values[tier],
                    seconds=self.seconds[tier],
                    share=len(own) / len(self),
                    agreement=float(same[own].mean()) if len(own) else None,
                    score=None if correlation or not len(own) else self._score(answers, own),
                    agreement_alone=float(same.mean()),
                    score_alone=self._score(answers),
                    reliability=() if last else self._reliability(tier),
                )
            )
        return tuple(found)

    def _differs(self, who: Indices) -> npt.NDArray[np.bool_]:
        """Tell where whoever answers does not say what the last tier does, bool[n]."""
        differs = np.vstack([self.asked.differs, np.zeros(len(self), np.bool_)])
        return np.asarray(differs[who, np.arange(len(self))])

    def _given(self, who: Indices) -> Array:
        """Return the answers that are given, in the form of ``task.decide``."""
        given = self.asked.answers[-1].copy()
        for tier, answers in enumerate(self.asked.answers[:-1]):
            given[who == tier] = answers[who == tier]
        return given

    def _score(self, answers: Array, rows: Indices | None = None) -> float | None:
        """Return the metric of all answers, or of those to some rows."""
        if self.truth is None:
            return None
        chosen = slice(None) if rows is None else rows
        return of_answers(self.task, answers[chosen], self.truth[chosen], self.task.metric)

    def _reliability(self, tier: int) -> tuple[ReliabilityBin, ...]:
        """Sort the texts that a tier takes by how sure it is, into bins of about as many each."""
        sure, same = self.asked.confidence[tier], ~self.asked.differs[tier]
        order = np.argsort(sure, kind="stable")
        order = order[np.isfinite(sure[order])]
        if not len(order):
            return ()
        right = None
        if self.truth is not None and self.task.problem is not Problem.SPANS:
            right = self.task.kind.agrees(self.task, self.truth, self.asked.answers[tier])
        bins = np.clip(len(order) // _TEXTS_PER_BIN, 1, BINS)
        return tuple(
            ReliabilityBin(
                texts=len(rows),
                confidence=float(sure[rows].mean()),
                agreeing=float(same[rows].mean()),
                right=None if right is None else float(right[rows].mean()),
            )
            for rows in np.array_split(order, bins)
        )
