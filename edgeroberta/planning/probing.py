"""Which candidate is best: each learns for a while; that which then answers most like the teacher wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import metrics, pipeline
from edgeroberta.planning import recipes
from edgeroberta.planning.candidates import Candidate
from edgeroberta.planning.recipes import Base
from edgeroberta.progress import Progress

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.pipeline.job import Job

#: Training texts of a probe: 200 steps of 32.
TEXTS = 6400
#: Validation texts on which candidates are compared; never the held-out ones.
VALIDATION = 1000


@dataclass(frozen=True)
class Probe:
    """A candidate after a short distillation.

    Attributes:
        candidate: The model.
        agreement: Share of validation texts with the teacher's answer.
        score: The task's metric on them.
    """

    candidate: Candidate
    agreement: float
    score: float

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {**self.candidate.to_json(), "agreement": self.agreement, "score": self.score}


def rank(candidates: Sequence[Candidate], base: Base, job: Job, *, progress: Progress) -> tuple[Probe, ...]:
    """Distil candidates for a while and compare them; a probe that an earlier run has made is reused.

    Args:
        candidates: At least one.
        base: How they learn; one pass over :data:`TEXTS` texts here.
        job: The run, with a work folder for the probes.
        progress: Where to report.

    Returns:
        The best first; of equal ones that which kept more importance.
    """
    small = replace(job, data=_sample(job))
    answers = _answers(small.model, small)
    recovery = {**base.recovery, "epochs": 1, "eval_steps": None, "augment": 0}
    found = []
    for number, candidate in enumerate(candidates, 1):
        progress.line(f"candidate {number} of {len(candidates)}: {candidate.name}")
        steps = recipes.steps(recipes.training_steps(replace(candidate, vocabulary=None), recovery))
        folder = pipeline.make(steps, small, progress=progress)[-1].artifact.path
        logits = _answers(folder, small)
        agreement = metrics.agreement(job.task, answers, logits)
        found.append(Probe(candidate, agreement, _score(small, logits)))
        progress.line(f"{candidate.name}: {agreement:.1%} of the validation answers are the teacher's")
    return tuple(sorted(found, key=lambda probe: (-probe.agreement, -probe.candidate.kept)))


def _sample(job: Job) -> Any:
    """Take a part of the training and validation rows, by the run's seed."""
    train = _part(job.data.train, TEXTS, job.seed)
    validation = _part(job.data.validation, VALIDATION, job.seed)
    return replace(job.data, train=train, validation=validation, unlabelled=None)


def _part(rows: Rows, most: int, seed: int) -> Rows:
    return rows.select(np.sort(np.random.default_rng(seed).permutation(len(rows))[:most]))


def _answers(folder: Path, job: Job) -> Any:
    """Return a checkpoint's logits on the validation rows, float32[n, L], on every process."""
    from edgeroberta.roberta import loading
    from edgeroberta.training import batching, prediction

    model = loading.load_classifier(folder, job.task, seed=job.seed).to(prediction.accelerator().device)
    rows = job.data.validation
    return prediction.predict(model, batching.tokenize(folder, rows.inputs(), max_length=128))


def _score(job: Job, logits: Any) -> float:
    from edgeroberta.training import fitting

    return metrics.score(job.task, logits, fitting.labels_of(job.data.validation))
