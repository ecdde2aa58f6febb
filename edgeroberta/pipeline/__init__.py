"""Run the stages of a recipe, reuse what is finished, and resume what was killed.

Each stage writes into ``.partial-…/output`` of the work folder and is sealed and renamed when it
returns. Its key is a digest of all that determines the result, so the same command finds its finished
stages again, and a changed setting runs that stage and those after it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import distributed, stages
from edgeroberta.distributed import Ranks
from edgeroberta.errors import BundleError
from edgeroberta.evaluation import provenance
from edgeroberta.pipeline import delivery, execution, workspace
from edgeroberta.pipeline.execution import StageRun
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe, RecipeStep
from edgeroberta.runtime import manifest
from edgeroberta.storage import jsontext
from edgeroberta.storage.artifact import Artifact, Kind
from edgeroberta.storage.files import REPORT
from edgeroberta.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """What a run gives."""

    bundle: Path  # the bundle's folder
    report: Mapping[str, Any] | None  # content of ``report.json``, None when the recipe does not verify
    stages: tuple[StageRun, ...]  # every stage, in order
    task: Task | None = None  # what the model is for
    notes: tuple[str, ...] = ()  # what the check of the model had to say

    @property
    def verdict(self) -> str | None:
        """``PASS``, ``FAIL`` or ``INCONCLUSIVE``; None where nothing was verified."""
        return str(self.report["judgement"]["verdict"]) if self.report else None


def run(recipe: Recipe, job: PipelineJob, *, progress: Progress) -> RunResult:
    """Run a recipe and deliver its bundle; a folder that holds something else is left alone."""

    def deliver(made: Sequence[StageRun]) -> None:
        delivery.deliver(made[-1].artifact, job.output)

    if distributed.current().main:
        delivery.check_apart(job.output, job.work)
        delivery.check(job.output)
    made = carry_out(recipe, job, deliver, progress=progress, then=_remember)
    reports = [item.artifact for item in made if item.artifact.kind is Kind.REPORT]
    report = read_report(reports[-1].path) if reports else None
    return RunResult(job.output, report, made, job.task, job.notes)


def carry_out(
    recipe: Recipe,
    job: PipelineJob,
    deliver: Callable[[Sequence[StageRun]], None],
    *,
    progress: Progress,
    then: Callable[[PipelineJob, Sequence[StageRun]], None] | None = None,
) -> tuple[StageRun, ...]:
    """Run the stages of a recipe, and let the main process deliver what they made.

    ``deliver``: puts it where the user wants it, while the work folder is held. ``then``: what is done once
    that has worked and the work folder is tidied.
    """
    ranks = distributed.current()
    with _held(job.work, ranks) as work:
        made = _make(recipe.stages, job, progress, recipe.text, work)
        if work:
            with workspace.disk_errors(job.output):
                deliver(made)
            work.tidy([item.artifact.path.name for item in made])
            if then is not None:
                then(job, made)
        ranks.wait()
    return made


def _remember(job: PipelineJob, made: Sequence[StageRun]) -> None:
    """Keep on this computer where the bundle's model and data lie, which it does not tell itself."""
    baseline = job.model.folder
    for item in itertools.takewhile(lambda each: each.artifact.lineage.stage in stages.TEACHER_STAGES, made):
        baseline = item.artifact.path
    try:
        provenance.store_origin(manifest.read(job.output), job.source, baseline)
    except BundleError as error:
        logger.info("where the bundle comes from is not kept: %s", error)


def read_report(folder: Path) -> Mapping[str, Any]:
    """Return ``report.json`` of what the stage ``verify`` made."""
    found: Mapping[str, Any] = jsontext.loads((folder / REPORT).read_bytes(), finite=False)
    return found


def make(
    steps: Sequence[RecipeStep],
    job: PipelineJob,
    *,
    progress: Progress,
    recipe_text: str = "",
    wait: bool = False,
) -> tuple[StageRun, ...]:
    """Run stages one after the other in the job's work folder; its output is not touched."""
    with _held(job.work, distributed.current(), wait=wait) as work:
        return _make(steps, job, progress, recipe_text, work)


def plan(
    steps: Sequence[RecipeStep], job: PipelineJob, *, recipe_text: str = ""
) -> tuple[Artifact | None, ...]:
    """Return the finished artifacts that a run would reuse; runs and writes nothing.

    One entry for each stage, in the order in which they run (:func:`edgeroberta.recipe.walk`); None for those
    that would run.
    """
    workspace.check(job.work)
    return tuple(execution.find(steps, job, recipe_text))


@contextlib.contextmanager
def _held(path: Path, ranks: Ranks, *, wait: bool = False) -> Iterator[Workspace | None]:
    """Hold the work folder: the main process gets it, others None, once the main one has it."""
    with workspace.disk_errors(path), contextlib.ExitStack() as held:
        work = Workspace(path) if ranks.main else None
        if work:
            held.enter_context(work.lock(wait=wait))
        ranks.wait()
        yield work


def _make(
    steps: Sequence[RecipeStep],
    job: PipelineJob,
    progress: Progress,
    recipe_text: str,
    work: Workspace | None,
) -> tuple[StageRun, ...]:
    """Run stages in a work folder that is held; ``work`` is None but for the main process."""
    shown = progress if distributed.current().main else Progress()
    return execution.Execution(job, shown, recipe_text, work).run(steps)
