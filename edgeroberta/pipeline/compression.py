"""From what the user asks for to a delivered bundle: find the model and the rows, then run the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta import backends, demo, pipeline, recipe, stages, targets
from edgeroberta.artifact import Kind
from edgeroberta.cache import cache_dir
from edgeroberta.data import DataSpec, Splits, infer_task, load_splits
from edgeroberta.errors import UsageError
from edgeroberta.pipeline import Result, delivery, workspace
from edgeroberta.pipeline.job import Job
from edgeroberta.progress import Progress
from edgeroberta.recipe import Recipe, Step
from edgeroberta.roberta import checkpoint
from edgeroberta.targets import Target
from edgeroberta.tasks import Task
from edgeroberta.verification import reference

#: Where the bundle of the packaged default goes when the user does not say.
DEMO_OUTPUT = Path("out/demo")
#: The shipped recipe whose first stage makes the packaged default's teacher.
TEACHER_RECIPE = "finetune-int8"


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes:
        model: Model folder or Hub id; None, with ``data`` None too, for the packaged default.
        data: Where the rows are.
        recipe: Name or path of the recipe.
        overrides: ``stage.key=value`` settings that win over the recipe's file.
        target: Name of the target.
        output: Where the bundle goes.
        work: Work folder; beside the output when None.
        reference: Folder of a stored full-size reference.
        seed: Seed of everything random.
        limit: Use at most this many rows of each file.
        allow_pickle: Accept weights that are only there as a pickle.
    """

    model: str | None
    data: DataSpec | None
    recipe: str
    overrides: tuple[str, ...]
    target: str
    output: Path | None
    work: Path | None
    reference: Path | None
    seed: int = 0
    limit: int | None = None
    allow_pickle: bool = False


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        recipe: The resolved recipe.
        model: Folder of the model that it would begin with.
        task: What the model answers.
        data: The rows, split.
        target: The device class the bundle would be for.
        output: Where the bundle would go.
        work: The work folder.
        job: What it would run on; None when the packaged default's teacher has yet to be fine-tuned.
        reused: For each stage, whether a former run's artifact would be reused.
    """

    recipe: Recipe
    model: Path
    task: Task
    data: Splits
    target: Target
    output: Path
    work: Path
    job: Job | None
    reused: tuple[bool, ...]


@dataclass(frozen=True)
class _Source:
    """The model and the rows, found and checked; ``told`` is what was chosen for the user there."""

    model: Path
    task: Task
    data: Splits
    said: Mapping[str, Any]
    told: tuple[str, ...]


def compress(request: Request, *, progress: Progress) -> Result:
    """Do what the user asks for.

    Args:
        request: The model, the rows, the recipe, where things go.
        progress: Where to report.

    Returns:
        The delivered bundle and its report, whatever the verdict.

    Raises:
        EdgeRobertaError: See :mod:`edgeroberta.errors`; the message says what to do next.
    """
    chosen = recipe.load(request.recipe, request.overrides)
    target = targets.load(request.target)
    _check_engines(chosen, target)
    output, work = _folders(request)
    source = _source(request, chosen)
    for line in source.told:
        progress.line(line)
    teacher = _teacher_job(request, chosen, source, target)
    if teacher:
        progress.line(
            "no MODEL and no --data: using the packaged default, granite-embedding-30m-english "
            "(dequantized from int8) and Rotten Tomatoes sentences"
        )
        made = pipeline.make((_teacher_step(),), teacher, progress=progress, wait=True)
        source = replace(source, model=made[-1].artifact.path)
        _check_reference(request, source, known=True)
    return pipeline.run(chosen, _job(request, source, target, output, work), progress=progress)


def job_for(request: Request, chosen: Recipe, *, progress: Progress) -> Job:
    """Find and check all that a recipe is to run on; for a fine-tuned model of the user's.

    Args:
        request: As for :func:`compress`; it names a model and rows.
        chosen: The recipe.
        progress: Where to report.

    Raises:
        EdgeRobertaError: As :func:`compress` before its first stage.
    """
    target = targets.load(request.target)
    _check_engines(chosen, target)
    output, work = _folders(request)
    source = _source(request, chosen)
    for line in source.told:
        progress.line(line)
    return _job(request, source, target, output, work)


def preview(request: Request) -> Preview:
    """Check everything that can be checked without running a stage.

    Args:
        request: As for :func:`compress`.

    Returns:
        The resolved recipe and what would be reused.

    Raises:
        EdgeRobertaError: As :func:`compress` before its first stage.
    """
    chosen = recipe.load(request.recipe, request.overrides)
    target = targets.load(request.target)
    _check_engines(chosen, target)
    output, work = _folders(request)
    source = _source(request, chosen)
    teacher = _teacher_job(request, chosen, source, target)
    if teacher:
        found = pipeline.plan((_teacher_step(),), teacher)
        if not found:
            return _preview(chosen, _job(request, source, target, output, work), None, 0)
        source = replace(source, model=found[-1].path)
        _check_reference(request, source, known=True)
    job = _job(request, source, target, output, work)
    found = pipeline.plan(chosen.stages, job, recipe_text=chosen.text)
    return _preview(chosen, job, job, len(found))


def _preview(chosen: Recipe, facts: Job, job: Job | None, reused: int) -> Preview:
    return Preview(
        recipe=chosen,
        model=facts.model,
        task=facts.task,
        data=facts.data,
        target=facts.target,
        output=facts.output,
        work=facts.work,
        job=job,
        reused=tuple(index < reused for index in range(len(chosen.stages))),
    )


def _check_engines(chosen: Recipe, target: Target) -> None:
    """Refuse engines that are not here, or that the bundle would not have, before hours of work."""
    built: tuple[str, ...] = target.engines
    for index, (stage, config) in enumerate(chosen.stages):
        listed = getattr(config, "engines", None)
        if listed is None:
            continue
        engines = target.engines if listed == "target" else tuple(listed)
        backends.require(engines)
        if stage.writes is Kind.DRAFT:
            built = engines
        for engine in engines if listed != "target" else ():
            if engine not in built:
                raise UsageError(
                    f"the bundle is not built for {engine!r}, only for {', '.join(built)}",
                    where=f"{Path(chosen.source).name}: stages[{index}].{stage.name}.engines",
                    hint="add it to the engines of the build stage, or leave it out here",
                )


def _folders(request: Request) -> tuple[Path, Path]:
    """Return the output and the work folder, absolute; refuse those that hold something else."""
    output = request.output
    if output is None:
        if request.model is not None:
            raise UsageError("say where the bundle goes", where="-o/--output", hint="add -o out/")
        output = DEMO_OUTPUT
    output = output.expanduser().resolve()
    work = request.work.expanduser().resolve() if request.work else output.with_name(output.name + ".work")
    if work == output:
        raise UsageError("the work folder cannot be the output", where="--work", hint="leave --work out")
    delivery.check(output)
    workspace.check(work)
    return output, work


def _source(request: Request, chosen: Recipe) -> _Source:
    """Find the model and read the rows; the packaged default's model is its base encoder."""
    trains = _trains(chosen)
    if trains and request.reference is not None:
        raise UsageError(
            f"the recipe {chosen.name!r} makes its own full-size model, so no reference is of it yet",
            where="--reference",
            hint="leave --reference out, or fine-tune first and give the result as MODEL",
        )
    if request.model is None:
        if request.data is not None:
            raise UsageError(
                "--data is given but no MODEL",
                where="MODEL",
                hint="edgeroberta compress MODEL --data …, with a model folder or a Hub id",
            )
        sources = demo.prepare(cache_dir())
        model, spec = sources.base, replace(sources.data, limit=request.limit)
        said: dict[str, Any] = {"model": demo.PACKAGED, "limit": request.limit}
        task = infer_task(spec)
    elif request.data is None:
        raise UsageError(
            "a MODEL needs rows to be calibrated and judged on",
            where="--data",
            hint=f"edgeroberta compress {request.model} --data reviews.csv -o out/",
        )
    else:
        model = checkpoint.resolve(
            request.model, allow_pickle=request.allow_pickle, cache=cache_dir()
        ).resolve()
        spec = request.data
        said = {"model": _absolute(request.model), "data": _recorded(spec)}
        if trains:
            task = infer_task(spec)
        else:
            checkpoint.require_head(model)
            task = checkpoint.task_of(model)
    told: list[str] = []
    splits = load_splits(spec, task=task, tell=told.append)
    task = replace(task, pair=splits.train.pairs is not None)
    source = _Source(model, task, splits, said, tuple(told) if request.data else ())
    _check_reference(request, source, known=request.model is not None)
    return source


def _check_reference(request: Request, source: _Source, *, known: bool) -> None:
    """Refuse a reference of something else; ``known`` when the full-size model is there already."""
    if request.reference is not None:
        digest = reference.digest_model(source.model) if known else None
        stored = reference.load(request.reference)
        reference.check(stored, rows=source.data.heldout, task=source.task, model_digest=digest)


def _absolute(name: str) -> str:
    """Return a path as it is from any folder; an id on the Hub, where no such path is, stays as it is."""
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _recorded(spec: DataSpec) -> dict[str, Any]:
    """Return what the bundle keeps of where the rows are, for a command in any folder to find them."""
    paths = {name: getattr(spec, name) for name in ("data", "eval_data", "unlabelled")}
    return {**asdict(spec), **{name: _absolute(path) for name, path in paths.items() if path is not None}}


def _trains(chosen: Recipe) -> bool:
    """Tell whether the recipe makes its own full-size model from a base model."""
    return chosen.stages[0].stage.name in stages.TEACHER_STAGES


def _teacher_step() -> Step:
    return recipe.load(TEACHER_RECIPE).stages[0]


def _teacher_job(request: Request, chosen: Recipe, source: _Source, target: Target) -> Job | None:
    """Return the job that makes the packaged default's teacher, in the cache; None when none is needed."""
    if request.model is not None or _trains(chosen):
        return None
    work = cache_dir() / "teacher"
    return Job(source.model, source.task, source.data, target, work, work, request.seed, source=source.said)


def _job(request: Request, source: _Source, target: Target, output: Path, work: Path) -> Job:
    return Job(
        model=source.model,
        task=source.task,
        data=source.data,
        target=target,
        output=output,
        work=work,
        seed=request.seed,
        reference=request.reference,
        source=source.said,
    )
