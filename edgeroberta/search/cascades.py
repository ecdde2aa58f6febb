"""Cascades that might meet a budget: a student of whole layers is asked first, the baseline in int8 the rest.

How many texts a student may answer is not known before it has learnt, so a few are trained for a while; see
:mod:`.probing`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgeroberta import cascade
from edgeroberta.runtime.cascade import mixed
from edgeroberta.search.candidates import Candidate, PredictedResult
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.shapes import ShapeSearch
from edgeroberta.tasks import Calibration, Outputs, Task

#: Promised agreement with the baseline in int8, where no larger share of the metric is to be kept.
AGREEMENT = 0.99
#: How sure that is, as the stage ``cascade`` has it; and of the training texts the part that may be set aside
#: to be so.
CONFIDENCE, SET_ASIDE = 0.95, 0.5
#: Shares of texts that may go on to the baseline; for each, the deepest student that leaves time for it is
#: trained.
ESCALATED = (0.2, 0.4, 0.6)


@dataclass(frozen=True)
class _Rule:
    """When the student's answer is given."""

    threshold: float
    calibration: Calibration


@dataclass(frozen=True)
class CascadeSearch:
    """A search for the cascades that meet a budget."""

    space: ShapeSearch  # the same for single models
    task: Task
    texts: int  # different training texts

    def students(self) -> tuple[Candidate, ...]:
        """Return the students that are worth a short distillation, by themselves; none where none is."""
        wanted = agreement(self.space.limits)
        if not cascade.possible(self.task) or wanted >= 1:
            return ()
        if (cascade.rows_needed(wanted, CONFIDENCE) or 0) > self.texts * SET_ASIDE:
            return ()
        found: dict[int, Candidate] = {}
        for escalated in ESCALATED:
            for count in range(len(self.space.table.shape.layers) - 1, 0, -1):
                student = self.space.of_layers(count)
                if self.predict(student, escalated).meets(self.space.aimed):
                    found[count] = student
                    break
        return tuple(found.values())

    def predict(self, student: Candidate, escalated: float) -> PredictedResult:
        """Predict what a cascade comes to of which that share of texts goes on to the baseline in int8."""
        table, lengths, full = self.space.table, self.space.lengths, self.space.table.shape
        first = replace(full, layers=student.shapes)
        times = table.predict_cascade(first, lengths, escalated)
        size = self.space.footprint
        return PredictedResult(
            times=times,
            # By means: the median is that of texts which the student answers, whatever the others take.
            speedup=table.baseline(lengths).mean / times.mean,
            bytes=size.of(full, full.vocab_size) + size.model(first),
        )

    def join(
        self, student: Candidate, outputs: Outputs, answers: Outputs, labels: Any
    ) -> tuple[Candidate, Outputs] | None:
        """Put a student that has learnt for a while before the baseline.

        ``outputs``, ``answers``: its own and the baseline's, on validation rows, which have these labels.
        Returns the cascade and what it gives for these rows; None where the student is sure of none, or so
        few that the budget is not met.
        """
        wanted = agreement(self.space.limits)
        count = round(cascade.agreeing_share(self.task, outputs, answers, wanted, labels) * len(outputs))
        if not count:
            return None
        calibration = cascade.fit(self.task, outputs, answers, labels)
        sure = self.task.kind.confidence(self.task, outputs, calibration)
        if sure is None:
            return None
        ranked = np.sort(sure)[::-1]
        threshold = float(ranked[count - 1 : count + 1].mean())  # halfway to the next one
        found = mixed(self.task, [_Rule(threshold, calibration)], [outputs, answers])
        escalated = float(np.mean(found.tiers == 1))
        predicted = self.predict(student, escalated)
        if not predicted.meets(self.space.aimed):
            return None
        return replace(student, predicted=predicted, escalated=escalated), found


def agreement(limits: BudgetLimits) -> float:
    """Return the agreement with its last tier that a cascade for a budget promises."""
    return max(AGREEMENT, limits.keep)
