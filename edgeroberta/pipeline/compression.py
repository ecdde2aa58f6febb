"""From what the user asks for to a delivered bundle: find the model and the rows, then run the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from edgeroberta import backends, distributed, pipeline, recipe, targets
from edgeroberta.errors import UsageError
from edgeroberta.pipeline import RunResult, changes_check, compression_inputs, gate_check, preflight
from edgeroberta.pipeline.compression_inputs import CompressionInputs, CompressionRequest
from edgeroberta.pipeline.dry_run import Preview
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe, RecipeStep, walk
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.cache import cache_dir
from edgeroberta.targets import Target

#: The shipped recipe whose first stage makes the packaged default's teacher.
TEACHER_RECIPE = "finetune-int8"


def compress(request: CompressionRequest, *, progress: Progress) -> RunResult:
    """Do what the user asks for; returns the bundle and its report, whatever the verdict."""
    chosen = recipe.load(request.recipe, request.overrides)
    return pipeline.run(chosen, prepare(request, chosen, progress=progress), progress=progress)


def prepare(request: CompressionRequest, chosen: Recipe, *, progress: Progress) -> PipelineJob:
    """Find and check all that a recipe is to run on; fine-tune the packaged default's teacher if need be."""
    target = targets.load(request.target)
    _check_engines(chosen, target)
    output, work = compression_inputs.folders(request)
    source = compression_inputs.find(request, chosen)
    for line in source.told:
        progress.line(line)
    teacher = _teacher_job(request, chosen, source, target)
    if teacher:
        preflight.check_stages(chosen.stages, _job(request, source, target, output, work))
        progress.line(
            "no MODEL and no --data: using the packaged default, granite-embedding-30m-english "
            "(dequantized from int8) and Rotten Tomatoes sentences"
        )
        made = pipeline.make((_teacher_step(),), teacher, progress=progress, wait=True)
        source = replace(source, model=Checkpoint(made[-1].artifact.path))
        compression_inputs.check_reference(request, chosen, source, known=True)
    job, ranks = _job(request, source, target, output, work), distributed.current()
    _check_gate(chosen, job, request)
    if ranks.main:
        progress.line("comparing tokens and logits with transformers")
        job = replace(job, notes=preflight.check(chosen.stages, job))
        for line in job.notes:
            progress.line(line)
    ranks.wait()
    return job


def preview(request: CompressionRequest) -> Preview:
    """Check everything that can be checked without running a stage."""
    chosen = recipe.load(request.recipe, request.overrides)
    target = targets.load(request.target)
    _check_engines(chosen, target)
    output, work = compression_inputs.folders(request)
    source = compression_inputs.find(request, chosen)
    teacher = _teacher_job(request, chosen, source, target)
    if teacher:
        (found,) = pipeline.plan((_teacher_step(),), teacher)
        if found is None:
            facts = _job(request, source, target, output, work)
            _check_gate(chosen, facts, request)
            preflight.check_stages(chosen.stages, facts)
            nothing = (False,) * sum(1 for _ in walk(chosen.stages))
            return Preview(chosen, facts, nothing, fine_tunes_packaged_model=True)
        source = replace(source, model=Checkpoint(found.path))
        compression_inputs.check_reference(request, chosen, source, known=True)
    job = _job(request, source, target, output, work)
    _check_gate(chosen, job, request)
    told = preflight.check(chosen.stages, job, partly=True)
    there = pipeline.plan(chosen.stages, job, recipe_text=chosen.text)
    return Preview(chosen, job, tuple(each is not None for each in there), told=(*source.told, *told))


def _check_gate(chosen: Recipe, job: PipelineJob, request: CompressionRequest) -> None:
    """Refuse a gate about what the task or the rows do not have."""
    gate_check.check(chosen, job.task, request.metric)
    changes_check.check(chosen, job.task, job.data.heldout, reference=job.reference, seed=job.seed)


def _check_engines(chosen: Recipe, target: Target) -> None:
    """Refuse engines that are not here, or that the bundle would not have, before hours of work."""
    built: dict[str | None, tuple[str, ...]] = {None: target.engines}  # by the tier, None for the bundle
    for step, place, tier in walk(chosen.stages):
        where = f"{Path(chosen.source).name}: {place}"
        if step.tiers:
            built[None] = _in_common({name: built[name] for name, _ in step.tiers}, where)
        listed = getattr(step.config, "engines", None)
        if listed is not None:
            engines = target.engines if listed == "target" else tuple(listed)
            backends.require(engines)
            if step.stage.writes is Kind.DRAFT:
                built[tier] = engines
            if listed != "target":
                _require_built(engines, built[tier], f"{where}.engines")
        if (engine := getattr(step.config, "engine", None)) is not None:
            backends.require((engine,))
            _require_built((engine,), built[tier], f"{where}.engine")


def _in_common(built: Mapping[str, tuple[str, ...]], where: str) -> tuple[str, ...]:
    """Return the engines that all tiers are built for, in the order of the last one's."""
    *_, last = built.values()
    found = tuple(name for name in last if all(name in engines for engines in built.values()))
    if not found:
        told = "; ".join(f"{name}: {', '.join(engines)}" for name, engines in built.items())
        raise UsageError(
            f"no engine has all tiers ({told})",
            where=where,
            hint="give build.engines the same names in all of them, or leave it out",
        )
    return found


def _require_built(engines: Sequence[str], built: Sequence[str], where: str) -> None:
    for engine in engines:
        if engine not in built:
            raise UsageError(
                f"the bundle is not built for {engine!r}, only for {', '.join(built)}",
                where=where,
                hint="add it to the engines of the build stage, or leave it out here",
            )


def _teacher_step() -> RecipeStep:
    return recipe.load(TEACHER_RECIPE).stages[0]


def _teacher_job(
    request: CompressionRequest, chosen: Recipe, source: CompressionInputs, target: Target
) -> PipelineJob | None:
    """Return the job that makes the packaged default's teacher, in the cache; None when none is needed."""
    if request.model is not None or compression_inputs.trains_baseline(chosen):
        return None
    work = cache_dir() / "teacher"
    return PipelineJob(
        source.model, source.task, source.data, target, work, work, request.seed, source=source.said
    )


def _job(
    request: CompressionRequest, source: CompressionInputs, target: Target, output: Path, work: Path
) -> PipelineJob:
    return PipelineJob(
        model=source.model,
        task=source.task,
        data=source.data,
        target=target,
        output=output,
        work=work,
        seed=request.seed,
        reference=request.reference,
        source=source.said,
        corpus=source.corpus,
    )
