"""Run the stages of a recipe, reuse what is finished, and resume what was killed.

Each stage writes into ``.partial-…/output`` of the work folder and is sealed and renamed when it
returns. Its key is a digest of all that determines the result, so the same command finds its finished
stages again, and a changed setting runs that stage and those after it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import distributed, stages
from edgeroberta.context import Context
from edgeroberta.distributed import Ranks
from edgeroberta.errors import BundleError
from edgeroberta.evaluation import provenance
from edgeroberta.hardware import versions
from edgeroberta.pipeline import delivery, workspace
from edgeroberta.pipeline.job import PipelineJob, PipelineState, name_and_key, start
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe, RecipeStep
from edgeroberta.runtime import manifest
from edgeroberta.runtime.session import host_packages
from edgeroberta.storage import artifact, jsontext
from edgeroberta.storage.artifact import Artifact, Kind, Lineage
from edgeroberta.storage.files import REPORT
from edgeroberta.tasks import Task
from edgeroberta.version import __version__

logger = logging.getLogger(__name__)

#: Packages whose versions are kept in every lineage, beside those of engines.
_RECORDED = ("numpy", "tokenizers", "torch", "transformers", "accelerate", "onnx")


@dataclass(frozen=True)
class StageRun:
    """One stage that is through."""

    artifact: Artifact
    reused: bool  # True when a former run had made it


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
    ranks = distributed.current()
    if ranks.main:
        delivery.check_apart(job.output, job.work)
        delivery.check(job.output)
    with _held(job.work, ranks) as work:
        made = _make(recipe.stages, job, progress, recipe.text, work)
        if work:
            with workspace.disk_errors(job.output):
                delivery.deliver(made[-1].artifact, job.output)
            work.tidy([item.artifact.path.name for item in made])
            _remember(job, made)
        ranks.wait()
    reports = [item.artifact for item in made if item.artifact.kind is Kind.REPORT]
    report = read_report(reports[-1].path) if reports else None
    return RunResult(job.output, report, made, job.task, job.notes)


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


def plan(steps: Sequence[RecipeStep], job: PipelineJob, *, recipe_text: str = "") -> tuple[Artifact, ...]:
    """Return the finished artifacts of the first stages, which a run would reuse; runs and writes nothing."""
    workspace.check(job.work)
    state = start(job)
    reusable: list[Artifact] = []
    for index, step in enumerate(steps):
        name, key = name_and_key(index, step, state, job, recipe_text)
        path = job.work / name
        found = workspace.reusable_artifact(path, key) if path.is_dir() else None
        if found is None:
            break
        reusable.append(found)
        state = state.after(step.stage, found)
    return tuple(reusable)


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
    ranks = distributed.current()
    if not ranks.main:
        progress = Progress()
    made: list[StageRun] = []
    state = start(job)
    for index, step in enumerate(steps):
        label = f"[{index + 1}/{len(steps)}] {step.stage.name}"
        name, key = ranks.share(name_and_key(index, step, state, job, recipe_text) if work else None)
        found = work.find(name, key) if work else None
        reused = ranks.share(found is not None)
        progress.line(f"{label}: reused" if reused else label)
        if not reused:
            context = _context(job, state, name, progress, recipe_text)
            found = _run(step, context, key, work, ranks)
        done = found or artifact.load(job.work / name)
        made.append(StageRun(done, reused))
        state = state.after(step.stage, done)
    return tuple(made)


def _run(
    step: RecipeStep, context: Context, key: str, work: Workspace | None, ranks: Ranks
) -> Artifact | None:
    """Run one stage; the main process, which has ``work``, returns the sealed artifact, others None."""
    stage = step.stage
    name = context.output.parent.name.removeprefix(workspace.PARTIAL)
    if work:
        work.begin(name)
    ranks.wait()
    started = time.monotonic()
    notes: Mapping[str, Any] = {}
    if work or stage.distributed:
        notes = stage.run(step.config, context)
    ranks.wait()
    done = None
    if work:
        lineage = Lineage(
            stage=stage.name,
            key=key,
            config=step.config.model_dump(mode="json"),
            seed=context.seed,
            inputs={kind.value: context.inputs[kind].lineage.content for kind in stage.reads},
            versions={"edgeroberta": __version__, **versions((*_RECORDED, *host_packages()))},
            seconds=round(time.monotonic() - started, 3),
            notes=dict(notes),
        )
        done = work.finish(name, stage.writes, lineage)
    ranks.wait()
    return done


def _context(
    job: PipelineJob, state: PipelineState, name: str, progress: Progress, recipe_text: str
) -> Context:
    partial = job.work / f"{workspace.PARTIAL}{name}"
    return Context(
        output=partial / "output",
        scratch=partial / "scratch",
        inputs=state.inputs,
        checkpoint=state.checkpoint,
        baseline=state.baseline_checkpoint,
        task=job.task,
        data=job.data,
        target=job.target,
        seed=job.seed,
        reference=job.reference,
        progress=progress,
        recipe_text=recipe_text,
        history=state.history,
        artifacts=state.artifacts,
        per_stage=job.work / workspace.PER_STAGE,
    )
