"""From unlabelled text to a delivered checkpoint: find model and text, run a recipe that needs no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta import demo, distributed, pipeline, recipe, targets
from edgeroberta.data import DataSpec, Rows, Splits, documents
from edgeroberta.errors import UsageError
from edgeroberta.pipeline import (
    checkpoint_files,
    delivery,
    places,
    preflight,
    pretraining_preview,
    text_inputs,
)
from edgeroberta.pipeline.delivery import PRETRAINING
from edgeroberta.pipeline.execution import StageRun
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.pipeline.pretraining_preview import PretrainingPreview
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe
from edgeroberta.roberta import resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage import paths
from edgeroberta.storage.cache import cache_dir

#: Where the checkpoint of the packaged encoder and reviews goes when the user does not say.
DEMO_OUTPUT = Path("out/pretrained")
#: Documents, and characters of each, that are tokenized twice before a run: a second or two.
_COMPARED, _CHARACTERS = 500, 2000
PACKAGED = "using the packaged default, granite-embedding-30m-english and film reviews"
#: The target of a job whose stages have none.
_TARGET = "cpu"


@dataclass(frozen=True)
class PretrainingRequest:
    """What the user asks for."""

    model: str | None  # model folder or Hub id; None for the packaged encoder
    unlabelled: str | None  # where the text is; None, with ``model`` None too, for the packaged reviews
    recipe: str  # name or path of the recipe
    overrides: tuple[str, ...]  # ``stage.key=value`` settings that win over the recipe's file
    output: Path | None  # where the checkpoint goes
    work: Path | None  # work folder; beside the output when None
    text: str | None = None  # column of the text
    seed: int = 0  # seed of everything random
    limit: int | None = None  # use at most this many documents
    allow_pickle: bool = False  # accept weights that are only there as a pickle


@dataclass(frozen=True)
class PretrainingRun:
    """What a run gives."""

    folder: Path  # the checkpoint's folder
    stages: tuple[StageRun, ...]  # every stage, in order
    facts: Mapping[str, Any]  # content of ``pretraining.json``
    notes: tuple[str, ...] = ()  # what was chosen for the user, and what the check of the model had to say


def pretrain(request: PretrainingRequest, *, progress: Progress) -> PretrainingRun:
    """Do what the user asks for; returns the checkpoint and what was measured of it."""
    chosen = recipe.load(request.recipe, request.overrides)
    job = _job(request, chosen)
    if distributed.current().main:
        job = replace(job, notes=(*job.notes, *_checked(chosen, job, partly=False)))
        for line in job.notes:
            progress.line(line)
    distributed.current().wait()

    def deliver(made: Sequence[StageRun]) -> None:
        files = checkpoint_files.of(chosen, job, made)
        delivery.deliver(made[-1].artifact, job.output, kind=PRETRAINING, more=files)

    made = pipeline.carry_out(chosen, job, deliver, progress=progress)
    return PretrainingRun(job.output, made, checkpoint_files.facts(chosen, job, made), job.notes)


def preview(request: PretrainingRequest) -> PretrainingPreview:
    """Check everything that can be checked without running a stage."""
    chosen = recipe.load(request.recipe, request.overrides)
    job = _job(request, chosen)
    told = (*job.notes, *_checked(chosen, job, partly=True))
    there = pipeline.plan(chosen.stages, job, recipe_text=chosen.text)
    done = tuple(each is not None for each in there)
    makes_tokens = any(step.stage.name == "tokenizer" for step in chosen.stages)
    tokens = None if makes_tokens else pretraining_preview.tokens_of(job, _sample(job))
    return PretrainingPreview(chosen, job, done, told=told, tokens=tokens)


def _job(request: PretrainingRequest, chosen: Recipe) -> PipelineJob:
    """Find and check all that a recipe is to run on."""
    text_inputs.require_checkpoint(chosen)
    packaged = request.model is None and request.unlabelled is None
    output, work = places.find(
        request.output, request.work, default=DEMO_OUTPUT if packaged else None, kind=PRETRAINING
    )
    if request.model is None:
        model = Checkpoint(demo.prepare(cache_dir()).base)
    else:
        if request.unlabelled is None:
            raise UsageError(
                "a MODEL needs text to learn from",
                where="--unlabelled",
                hint=f"edgeroberta pretrain {request.model} --unlabelled texts.txt -o out/",
            )
        model = resolving.resolve(request.model, allow_pickle=request.allow_pickle, cache=cache_dir())
        _require_apart(request.model, output)
    task = text_inputs.masked_task(model)
    name = request.unlabelled or str(demo.prepare_documents(cache_dir()))
    told: list[str] = []
    spec = DataSpec(name, text=request.text, unlabelled=name, seed=request.seed, limit=request.limit)
    corpus = documents.load(spec, tell=told.append)
    nothing = Rows((), None, None, corpus.source)
    return PipelineJob(
        model=model.absolute(),
        task=task,
        data=Splits(nothing, nothing, nothing, None, ()),
        target=targets.load(_TARGET),
        output=output,
        work=work,
        seed=request.seed,
        source=_said(request),
        notes=(*((PACKAGED,) if packaged else ()), *told),
        corpus=corpus,
    )


def _require_apart(model: str, output: Path) -> None:
    """Refuse an output that would take the place of MODEL: the same command again would learn once more."""
    folder = paths.named(model).resolve()
    if output in (folder, *folder.parents):
        raise UsageError(
            f"the checkpoint would take the place of MODEL ({model})",
            where="-o/--output",
            hint=f"give another folder: -o {output.with_name(output.name + '-adapted').name}",
        )


def _said(request: PretrainingRequest) -> dict[str, Any]:
    """Return what the lineage keeps of where model and text come from."""
    found: dict[str, Any] = {"model": demo.PACKAGED, "unlabelled": demo.PACKAGED, "limit": request.limit}
    for name in ("model", "unlabelled"):
        if (named := getattr(request, name)) is not None:
            path = paths.named(named)
            found[name] = str(path.resolve()) if path.exists() else named
    return found


def _checked(chosen: Recipe, job: PipelineJob, *, partly: bool) -> tuple[str, ...]:
    """Refuse what a run would stumble over later, or read wrongly; return what the user should know.

    ``partly``: leave out what needs a package that is not installed, and say so.
    """
    preflight.check_stages(chosen.stages, job)
    return (*text_inputs.told(chosen), *preflight.check_tokens(job.model, _sample(job), partly=partly))


def _sample(job: PipelineJob) -> list[str]:
    """Return the beginnings of the first documents."""
    assert job.corpus is not None  # it was loaded
    return [text[:_CHARACTERS] for text in next(job.corpus.chunks())[:_COMPARED]]
