"""Distillation: a student learns to answer as a teacher does, whatever the student's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.storage.artifact import digest_value
from edgeroberta.training.distill_settings import DistillationPlan


def train_student(plan: DistillationPlan) -> Mapping[str, Any]:
    """Train a student in place on a teacher's outputs; it ends with the best weights and is not saved.

    The teacher's outputs are kept in ``context.scratch`` and shared by all calls of a stage that want the
    same outputs of the same texts. Returns notes: those of every training, the teacher's score on the
    validation rows, and the share of texts that both see as the same tokens where a loss depends on that.
    """
    from edgeroberta.training import finetuning, preparation
    from edgeroberta.training.objective import DistillObjective
    from edgeroberta.training.run import TrainingJob

    given = preparation.prepare(plan)
    objective = DistillObjective(plan.settings, plan.student, given.distillation_targets, given.projection)
    job = TrainingJob(
        label=plan.label,
        model=plan.student,
        tokens=given.tokens,
        objective=objective,
        settings=plan.settings,
        scratch=plan.scratch,
        key=digest_value([plan.key, given.key]),
        companion=given.projection,
        first_token=not plan.settings.weights.attention,
    )
    try:
        notes = finetuning.train(job, plan.context, tokenizer=plan.tokenizer)
    finally:
        objective.close()
    return {**notes, **given.notes}
