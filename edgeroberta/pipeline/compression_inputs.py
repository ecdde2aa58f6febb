"""Where the model and the rows of a run come from, and where its results go; found and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from edgeroberta import demo, stages
from edgeroberta.data import (
    DataSpec,
    MaskReader,
    Rows,
    Splits,
    documents,
    infer_task,
    judging,
    load_splits,
    tells_labels,
    tells_pairs,
    word_coverage,
)
from edgeroberta.data.documents import Documents
from edgeroberta.errors import CheckpointError, UsageError
from edgeroberta.evaluation import answer_limits
from edgeroberta.evaluation import baseline_store as reference
from edgeroberta.pipeline import embedding_inputs, fresh_rows, places, slice_check, text_inputs
from edgeroberta.recipe import Recipe, walk
from edgeroberta.roberta import resolving
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.stages import build
from edgeroberta.stages.build_settings import BuildConfig
from edgeroberta.storage import paths
from edgeroberta.storage.cache import cache_dir
from edgeroberta.tasks import Problem, Task, asked

#: Where the bundle of the packaged default goes when the user does not say.
DEMO_OUTPUT = Path("out/demo")


@dataclass(frozen=True)
class CompressionRequest:
    """What the user asks for."""

    model: str | None  # model folder or Hub id; None, with ``data`` None too, for the packaged default
    data: DataSpec | None  # where the rows are
    recipe: str  # name or path of the recipe
    overrides: tuple[str, ...]  # ``stage.key=value`` settings that win over the recipe's file
    target: str  # name of the target
    output: Path | None  # where the bundle goes
    work: Path | None  # work folder; beside the output when None
    reference: Path | None  # folder of a stored baseline
    seed: int = 0  # seed of everything random
    limit: int | None = None  # use at most this many rows of each file
    allow_pickle: bool = False  # accept weights that are only there as a pickle
    #: name of the metric to be judged and chosen by; None for the task's own, or the data's where it has one
    metric: str | None = None
    #: name of the task, see :data:`edgeroberta.tasks.TASKS`; None where model and data tell it
    task: str | None = None
    pooling: str | None = None  # how embeddings are pooled; None where the model tells it, or has none


@dataclass(frozen=True)
class CompressionInputs:
    """The model and the rows, found and checked; ``told`` is what was chosen for the user there."""

    model: Checkpoint
    task: Task
    data: Splits
    said: Mapping[str, Any]
    told: tuple[str, ...]
    corpus: Documents | None = None  # unlabelled text, where the recipe pre-trains


def folders(request: CompressionRequest) -> tuple[Path, Path]:
    """Return the output and the work folder, absolute; refuse those that hold something else."""
    return places.find(
        request.output, request.work, default=None if request.model is not None else DEMO_OUTPUT
    )


def find(request: CompressionRequest, chosen: Recipe) -> CompressionInputs:
    """Find the model and read the rows; the packaged default's model is its base encoder."""
    text_inputs.require_bundle(chosen)
    text_inputs.require_learning(chosen, request.task)
    if trains_baseline(chosen) and request.reference is not None:
        raise UsageError(
            f"the recipe {chosen.name!r} makes its own baseline, so no reference is of it yet",
            where="--reference",
            hint="leave --reference out, or fine-tune first and give the result as MODEL",
        )
    named = _named(request, chosen)
    model, spec, said = named.model, named.spec, dict(named.said)
    told: list[str] = []
    splits, corpus = _read(named, chosen, told)
    if request.data is not None:
        said["data"] = _recorded(replace(spec, kept=splits.reading))
    task = judging.judge(splits.train.shown(named.task), spec, splits.train, request.metric, told.append)
    if task.problem is Problem.EMBEDDING:
        _check_metric(task, splits)
    task = answer_limits.usual(task, splits.train, model)
    slice_check.check(chosen, splits.heldout, task)
    if task.problem is Problem.TOKENS:
        told.extend(_words_without_token(chosen, model, task, splits))
    source = CompressionInputs(model, task, splits, said, tuple(told) if request.data else (), corpus)
    check_reference(request, chosen, source, known=request.model is not None)
    return source


@dataclass(frozen=True)
class _Named:
    """What the user named, or what is packaged where they named nothing."""

    model: Checkpoint
    task: Task
    spec: DataSpec
    said: Mapping[str, Any]  # what of it the lineage keeps


def _named(request: CompressionRequest, chosen: Recipe) -> _Named:
    """Find the model and tell the task; rows are only looked at to tell it."""
    if request.model is None:
        if request.data is not None:
            raise UsageError(
                "--data is given but no MODEL",
                where="MODEL",
                hint="edgeroberta compress MODEL --data …, with a model folder or a Hub id",
            )
        sources = demo.prepare(cache_dir())
        reviews = str(demo.prepare_documents(cache_dir())) if chosen.of_text else None
        spec = replace(sources.data, limit=request.limit, unlabelled=reviews)
        model, said = Checkpoint(sources.base), {"model": demo.PACKAGED, "limit": request.limit}
        return _Named(model, _task(request, model, spec, own=True), spec, said)
    if request.data is None:
        raise UsageError(
            "a MODEL needs rows to be calibrated and judged on",
            where="--data",
            hint=f"edgeroberta compress {request.model} --data reviews.csv -o out/",
        )
    text_inputs.require_text(chosen, request.data.unlabelled)
    model = resolving.resolve(request.model, allow_pickle=request.allow_pickle, cache=cache_dir()).absolute()
    own, spec, said = trains_baseline(chosen), request.data, {"model": _absolute(request.model)}
    if embedding_inputs.wanted(model, request.task, request.pooling):
        model = embedding_inputs.of_embeddings(model, request.pooling, trained=own, cache=cache_dir())
        return _Named(model, model.task, spec, said)
    return _Named(model, _task(request, model, spec, own=own), spec, said)


def _read(named: _Named, chosen: Recipe, told: list[str]) -> tuple[Splits, Documents | None]:
    """Read rows and unlabelled text; ``told`` gets what was chosen for the user there."""
    model, task, spec = named.model, named.task, named.spec
    rows, notes = text_inputs.for_readers(chosen, spec, task)
    judges: list[Rows] = []
    splits = load_splits(
        replace(rows, slice_columns=slice_check.columns(chosen)),
        task=task,
        tell=told.append,
        masks=MaskReader.of(task, model.folder, model.max_length),
        fresh=fresh_rows.wanted(chosen, task, spec),
        judges=judges.extend,
    )
    told.extend((*fresh_rows.told(chosen, splits), *text_inputs.told(chosen), *notes))
    if not chosen.of_text or spec.unlabelled is None:
        return splits, None
    return splits, documents.load(spec, without=judges, tell=told.append)


def _task(request: CompressionRequest, model: Checkpoint, spec: DataSpec, *, own: bool) -> Task:
    """Tell the task by the model, or by the rows where the recipe has it learnt first."""
    problems = asked(request.task)
    if own and request.task is not None and Problem.MASKED in problems:
        return text_inputs.masked_task(model)
    if not own:
        _require_head(request, model, spec)
    task = infer_task(spec) if own else model.task
    if task.problem not in problems:
        raise UsageError(
            f"{'the rows are' if own else 'the model is'} for {task.optimum_task}, not for {request.task}",
            where="--task",
            hint="leave --task out, or name another model",
        )
    return task


def _require_head(request: CompressionRequest, model: Checkpoint, spec: DataSpec) -> None:
    """Refuse a base model, and one for masked words with labelled rows; say what it could be used for."""
    masks = model.task.problem is Problem.MASKED
    if model.has_head and not (request.task is None and masks and tells_labels(spec)):
        return
    more = ""
    if model.has_head:
        more = "; or, to compress its head for masked words: --task fill-mask"
    elif request.task == "fill-mask":
        more = ", as --recipe fill-mask-int8 does"
    elif request.task is None and tells_pairs(spec):
        more = "; or, to embed texts with it as it is: --pooling mean"
    raise CheckpointError(
        "a base model without a classification head; there is nothing to compress yet",
        where=str(model),
        hint=f"fine-tune it first: put a finetune stage at the start of the recipe{more}",
    )


def _check_metric(task: Task, data: Splits) -> None:
    """Refuse a metric of scores where rows are queries and passages, or the reverse."""
    truth = task.truth(data.heldout.labels)
    if not task.metrics[task.metric].fits(truth):
        known = [name for name, each in task.metrics.items() if each.fits(truth)]
        raise UsageError(
            f"rows with this kind of labels have no {task.metric}",
            where="--metric",
            hint=f"one of {', '.join(known)}",
            code="usage.metric-unknown",
        )


def check_reference(
    request: CompressionRequest, chosen: Recipe, source: CompressionInputs, *, known: bool
) -> None:
    """Refuse a reference of something else; ``known`` when the baseline is there already."""
    if request.reference is None:
        return
    reference.check(
        reference.load(request.reference),
        rows=source.data.heldout,
        task=source.task,
        model_digest=source.model.digest if known else None,
        overlap=_overlap(chosen, source.model, source.task),
    )


def _words_without_token(chosen: Recipe, model: Checkpoint, task: Task, data: Splits) -> Iterator[str]:
    """Tell of words without a token; long texts are cut in training, and held out read as by the bundle."""
    way = None if (overlap := _overlap(chosen, model, task)) is None else "windows"
    cut, bundled = (
        TextTokenizer.open(model.folder, model.max_length, long_text=each, stride=overlap if each else None)
        for each in (None, way)
    )
    yield from word_coverage.of_parts((data.train, data.validation), task.labels, cut)
    yield from word_coverage.of_parts((data.heldout,), task.labels, bundled)


def _overlap(chosen: Recipe, model: Checkpoint, task: Task) -> int | None:
    """Return by how many tokens the windows of the bundle to be built overlap; None where texts are cut."""
    configs = [placed.step.config for placed in walk(chosen.stages)]
    found = [each for each in configs if isinstance(each, BuildConfig)]
    # Of a cascade the last tier's, which is what a bundle says of itself.
    return build.overlap(found[-1], model, task) if found else None


def trains_baseline(chosen: Recipe) -> bool:
    """Tell whether the recipe makes its own baseline from a base model."""
    return chosen.stages[0].stage.name in stages.TEACHER_STAGES


def _absolute(name: str) -> str:
    """Return a path as it is from any folder; an id on the Hub, where no such path is, stays as it is."""
    path = paths.named(name)
    return str(path.resolve()) if path.exists() else name


def _recorded(spec: DataSpec) -> dict[str, Any]:
    """Return what the bundle keeps of where the rows are, for a command in any folder to find them."""
    paths = {name: getattr(spec, name) for name in ("data", "eval_data", "unlabelled")}
    found = {name: _absolute(path) for name, path in paths.items() if path is not None}
    recorded = {**asdict(spec), **found, "kept": spec.kept.to_json() if spec.kept else None}
    del recorded["slice_columns"]  # the report says what slices were asked for
    return recorded
