"""Which candidate is best: each learns for a while; that which then answers most like the teacher wins.

How much one answers more like the teacher than another is judged on the same rows, by an interval. Candidates
that are not behind the best beyond doubt are tied with it, and of these the fastest is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import metrics, pipeline
from edgeroberta.data import texts
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.search import candidate_recipes
from edgeroberta.search.candidate_recipes import CandidateSettings
from edgeroberta.search.candidates import Candidate

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.pipeline.job import PipelineJob
    from edgeroberta.search.cascades import CascadeSearch
    from edgeroberta.tasks import Task

#: Training texts of a probe: 200 steps of 32.
TEXTS = 6400
#: Validation texts on which candidates are compared; never the held-out ones.
VALIDATION = 1000
#: Predicted times nearer than this count as equal: predictions are off by as much (docs/guides/budget.md).
SAME_TIME = 0.05
#: Cosine from which on a student's embedding counts as its teacher's: after two passes over 5,000 pairs, of a
#: student with four of six layers two thirds of the pairs are beyond it, and none beyond the gate's 0.98.
STUDENTS_COSINE = 0.9


@dataclass(frozen=True)
class ShortDistillation:
    """A candidate after a short distillation."""

    candidate: Candidate  # the model
    agreement: float  # share of validation texts with the teacher's answer
    score: float  # the task's metric on them
    #: by how much the agreement is less than that of the best, on the same texts; None of the best itself
    behind: Interval | None = None

    @property
    def tied(self) -> bool:
        """True where the texts cannot tell it from the best."""
        return self.behind is None or self.behind.low <= 0

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            **self.candidate.to_json(),
            "agreement": self.agreement,
            "score": self.score,
            "behind": None if self.behind is None else asdict(self.behind),
            "tied": self.tied,
        }


def rank(
    candidates: Sequence[Candidate],
    base: CandidateSettings,
    job: PipelineJob,
    *,
    cascades: CascadeSearch | None = None,
    progress: Progress,
) -> tuple[ShortDistillation, ...]:
    """Distil candidates for a while and compare them; a probe that an earlier run has made is reused.

    ``base``: how they learn; one pass over :data:`TEXTS` texts here. ``cascades``: students that are compared
    as the first tier of a cascade, if that then meets the budget. Returns in the order of their agreement; of
    equal ones that first which kept more importance.
    """
    students = () if cascades is None else cascades.students()
    small = replace(job, data=_sample(job))
    answers = _answers(small.model, small)
    recovery = {**base.recovery, "epochs": 1, "eval_steps": None, "augment": 0}
    found: list[tuple[ShortDistillation, Any]] = []
    for number, candidate in enumerate((*candidates, *students)):
        several = f"candidate {number + 1} of {len(candidates) + len(students)}"
        asked_first = number >= len(candidates)
        progress.line(f"{several}: {candidate.name}{' before all' if asked_first else ''}")
        steps = candidate_recipes.steps(
            candidate_recipes.training_steps(replace(candidate, vocabulary=None), recovery)
        )
        folder = pipeline.make(steps, small, progress=progress)[-1].artifact.path
        outputs = _answers(Checkpoint(folder), small)
        if cascades is not None and asked_first:
            joined = cascades.join(candidate, outputs, answers, small.data.validation.labels)
            if joined is None:
                progress.line(f"{candidate.name} would be sure of too few texts to be asked first")
                continue
            candidate, outputs = joined
        same = metrics.agrees(_loosely(job.task), answers, outputs)
        agreement = float(same.mean())
        found.append((ShortDistillation(candidate, agreement, _score(small, outputs)), same))
        progress.line(f"{candidate.name}: {agreement:.1%} of the validation answers are the teacher's")
    found.sort(key=lambda each: (-each[0].agreement, -each[0].candidate.kept))
    (best, most), *others = found
    draws = BootstrapOptions(seed=job.seed, groups=texts.groups(small.data.validation))
    return (best, *(_compared(probe, most, same, draws) for probe, same in others))


def _loosely(task: Task) -> Task:
    """Return a task that takes embeddings for the same as far apart as those of students are."""
    return replace(task, min_cosine=STUDENTS_COSINE) if task.apart else task


def pick(probes: Sequence[ShortDistillation]) -> ShortDistillation:
    """Return the fastest of those tied with the best; of equally fast ones that with more agreement."""
    tied = [probe for probe in probes if probe.tied]
    near = min(probe.candidate.typical for probe in tied) / (1 - SAME_TIME)
    return next(probe for probe in tied if probe.candidate.typical <= near)


def tie_notice(probes: Sequence[ShortDistillation], chosen: Candidate) -> str | None:
    """Say in a sentence which candidates are tied; None where the best is so beyond doubt."""
    tied = [probe.candidate.name for probe in probes if probe.tied]
    if len(tied) < 2:
        return None
    names = f"{', '.join(tied[:-1])} and {tied[-1]}"
    return f"tied, since the validation texts cannot tell them apart: {names}; {chosen.name} is made of these"


def _compared(probe: ShortDistillation, most: Any, same: Any, draws: BootstrapOptions) -> ShortDistillation:
    return replace(probe, behind=metrics.lead_interval(most, same, draws))


def _sample(job: PipelineJob) -> Any:
    """Take a part of the training and validation rows, by the run's seed."""
    train = _part(job.data.train, TEXTS, job.seed)
    validation = _part(job.data.validation, VALIDATION, job.seed)
    return replace(job.data, train=train, validation=validation, unlabelled=None)


def _part(rows: Rows, most: int, seed: int) -> Rows:
    return rows.select(np.sort(np.random.default_rng(seed).permutation(len(rows))[:most]))


def _answers(model: Checkpoint, job: PipelineJob) -> Any:
    """Return a checkpoint's outputs on the validation rows, on every process."""
    from edgeroberta.roberta import loading
    from edgeroberta.training import batching, prediction

    device = prediction.accelerator().device
    classifier = loading.load_classifier(model, job.task, seed=job.seed).to(device)
    rows = job.data.validation
    tokens = batching.tokenize(
        model, rows.read(), max_length=128, places=job.task.kind.unit.located, units=rows.units
    )
    return prediction.predict(classifier, tokens)


def _score(job: PipelineJob, outputs: Any) -> float:
    from edgeroberta.training import finetuning

    return metrics.score(job.task, outputs, finetuning.labels_of(job.data.validation))
