"""From a budget to a delivered bundle: measure, search, compare candidates, run the best one's recipe.

What is found on the way lies in the folder ``plan`` of the work folder: the same command takes it up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import distributed, pipeline, recipe
from edgeroberta.artifact import Kind
from edgeroberta.errors import UsageError
from edgeroberta.front import Point
from edgeroberta.pipeline import Result, compression, summary
from edgeroberta.pipeline.compression import Request
from edgeroberta.pipeline.job import Job
from edgeroberta.pipeline.workspace import Workspace
from edgeroberta.planning import outcome, probing, recipes
from edgeroberta.planning.candidates import Candidate, Footprint, Search, equal
from edgeroberta.planning.limits import Limits
from edgeroberta.planning.outcome import FULL, MADE, Outcome, Times
from edgeroberta.planning.probing import Probe
from edgeroberta.planning.recipes import Base
from edgeroberta.progress import Progress
from edgeroberta.roberta import checkpoint
from edgeroberta.roberta.config import EncoderConfig
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.verification.report import Verdict

if TYPE_CHECKING:
    from edgeroberta.latency.measuring import Timer
    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.pruning.importance import Importance

PLAN = "plan"
#: Texts on which units are scored, as the stage prune has it, and their longest length in tokens.
SCORED, LONGEST = 2048, 128
_TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Budgeted:
    """What a run with a budget gives.

    Attributes:
        result: As without a budget.
        outcome: What became of the budget; None on other processes than the main one.
    """

    result: Result
    outcome: Outcome | None

    @property
    def failed(self) -> bool:
        """True where the gate did not pass or a limit was missed."""
        missed = self.outcome is not None and bool(self.outcome.missed)
        return missed or summary.verdict(self.result) == Verdict.FAIL.value


def compress(
    request: Request,
    limits: Limits,
    *,
    progress: Progress,
    host: str | None = None,
    timer: Timer | None = None,
) -> Budgeted:
    """Make the best bundle that meets a budget.

    Args:
        request: The model, the rows, where things go; its recipe says how candidates learn.
        limits: The budget.
        progress: Where to report.
        host: Name of the machine that the budget is about; None for this one.
        timer: Times probes there; None for this machine.

    Returns:
        The delivered bundle and what became of the budget, whatever the verdict.

    Raises:
        UsageError: No model meets the budget, or the request is not one for a budget.
        EdgeRobertaError: See :mod:`edgeroberta.errors`.
    """
    if request.model is None or request.data is None:
        raise UsageError(
            "a budget needs a fine-tuned MODEL and its rows",
            where="MODEL",
            hint="edgeroberta compress MODEL --data reviews.csv --speedup 4 -o out/",
        )
    chosen = recipe.load(request.recipe, request.overrides)
    base = recipes.base_of(chosen)
    job = compression.job_for(request, chosen, progress=progress)
    ranks = distributed.current()
    planned = replace(job, work=job.work / PLAN)
    if ranks.main:  # the outer one first: with a folder in it, it would look foreign
        Workspace(job.work)
        Workspace(planned.work)
    ranks.wait()
    table, lengths = ranks.share(_measured(job, progress, host, timer) if ranks.main else None)
    probes, candidate = _choose(base, limits, planned, table, lengths, progress)
    file = planned.work / "recipe.yaml"
    share = _shares(job, limits)
    if ranks.main:
        recipes.write(candidate, limits, base, file, share=share)
    ranks.wait()
    result = pipeline.run(recipe.load(str(file)), job, progress=progress)
    made = _Made(limits, candidate, probes, table, base, result, host)
    return Budgeted(result, _outcome(made, planned, progress))


def _measured(
    job: Job, progress: Progress, host: str | None, timer: Timer | None
) -> tuple[LatencyTable, tuple[int, ...]]:
    """Measure the device, or find its table, for the lengths of the validation rows."""
    from edgeroberta.latency.measuring import measure
    from edgeroberta.latency.request import MOST_TEXTS
    from edgeroberta.latency.request import Request as TableRequest

    config = EncoderConfig.from_dir(job.model)
    inputs = (*job.data.train.inputs(), *job.data.validation.inputs())
    wanted = TableRequest(
        config.shape, config.activation, job.model, job.target.name, inputs[:: -(-len(inputs) // MOST_TEXTS)]
    )
    table = measure(wanted, progress=progress, timer=timer, where=host)
    tokenizer = TextTokenizer.open(job.model, checkpoint.max_length(job.model))
    counts = [len(encoding.ids) for encoding in tokenizer.encode(job.data.validation.inputs())]
    longest = table.lengths[-1]
    if max(counts) > longest:
        progress.line(f"texts of more than {longest} tokens are taken for such of {longest}")
    return table, tuple(min(count, longest) for count in counts)


def _choose(
    base: Base,
    limits: Limits,
    job: Job,
    table: LatencyTable,
    lengths: tuple[int, ...],
    progress: Progress,
) -> tuple[tuple[Probe, ...], Candidate]:
    """Search candidates and compare them; return them, the best first, and the best one."""
    size = (job.model / _TOKENIZER).stat().st_size if (job.model / _TOKENIZER).is_file() else 0
    copies = 1 if _shares(job, limits) else len(job.target.engines)
    search = Search(equal(table.shape), table, lengths, limits, Footprint(copies, size))
    search.check()
    first = search.whole()
    if first is not None:
        progress.line(f"the full-size model in int8 meets the budget: {limits.told}")
        return (), first
    found = replace(search, importance=_importance(job, progress)).candidates()
    if len(found) == 1:
        progress.line(f"one candidate meets the budget: {found[0].name}")
        return (), found[0]
    probes = probing.rank(found, base, job, progress=progress)
    return probes, probes[0].candidate


def _importance(job: Job, progress: Progress) -> Importance:
    from edgeroberta.pruning import importance
    from edgeroberta.roberta import loading
    from edgeroberta.training import batching, fitting, prediction

    rows = job.data.train
    rows = rows.select(np.random.default_rng(job.seed).permutation(len(rows))[:SCORED])
    tokens = batching.tokenize(job.model, rows.inputs(), max_length=LONGEST)
    model = loading.load_classifier(job.model, job.task, seed=job.seed)
    examples = importance.Examples(tokens, fitting.labels_of(rows), job.task.problem)
    return importance.score(
        model.to(prediction.accelerator().device), examples, seed=job.seed, progress=progress
    )


def _shares(job: Job, limits: Limits) -> bool:
    """Tell whether engines are to share their weights: where bytes count and both of them can."""
    return limits.bytes is not None and {"onnxruntime", "openvino"} <= set(job.target.engines)


@dataclass(frozen=True)
class _Made:
    """A delivered bundle and how it came about; see :class:`Outcome`."""

    limits: Limits
    candidate: Candidate
    probes: tuple[Probe, ...]
    table: LatencyTable
    base: Base
    result: Result
    host: str | None


def _outcome(made: _Made, job: Job, progress: Progress) -> Outcome | None:
    """Measure what was made beside the full-size model, in turns, and write the reports; collective."""
    bundles = {"full size, float": _float_bundle(made.table.engine, job, progress)}
    report = made.result.report or {}
    metric = str(report["metric"])
    scores = {"full size, float": float(report["full_size"]["metrics"][metric])}
    scores[made.candidate.name] = _metric(report, made.table.engine)
    if report["judgement"]["verdict"] == Verdict.FAIL.value and made.candidate.kept < 1:
        bundles["int8 alone"], verified = _int8(made.base, job, progress)
        scores["int8 alone"] = _metric(verified, made.table.engine)
    if not distributed.current().main:
        return None
    bundles[made.candidate.name] = made.result.bundle
    times: dict[str, Times] = {}
    if made.host is None:
        times = outcome.time_in_turns(
            bundles,
            job.data.validation.inputs(),
            engine=made.table.engine,
            threads=made.table.threads,
            progress=progress,
        )
    found = _summed(made, bundles, times, scores, metric)
    found.write(made.result.bundle)
    return found


def _summed(
    made: _Made,
    bundles: Mapping[str, Path],
    times: Mapping[str, Times],
    scores: Mapping[str, float],
    metric: str,
) -> Outcome:
    full, name = "full size, float", made.candidate.name
    size = outcome.size_of(made.result.bundle)
    mine = times.get(name)
    measured: dict[str, float | None] = {"p50_ms": None, "p95_ms": None, "speedup": None, "bytes": size}
    if mine is not None:
        speedup = times[full].p50 / mine.p50
        measured |= {"p50_ms": mine.p50 * 1000, "p95_ms": mine.p95 * 1000, "speedup": speedup}
    predicted = {full: made.candidate.predicted.p50 * made.candidate.predicted.speedup}
    predicted[name] = made.candidate.predicted.p50
    points = tuple(
        Point(
            each,
            1000 * (times[each].p50 if each in times else predicted[each]),
            scores[each],
            outcome.size_of(folder),
            FULL if each == full else MADE,
        )
        for each, folder in bundles.items()
        if each in times or each in predicted
    )
    return Outcome(
        limits=made.limits,
        chosen=made.candidate,
        probes=made.probes,
        predicted=made.candidate.predicted,
        measured=measured,
        metric=metric,
        kept=scores[name] / scores[full] if scores[full] else 1.0,
        points=points,
        engine=made.table.engine,
        device=made.table.device,
        elsewhere=made.host,
    )


def _float_bundle(engine: str, job: Job, progress: Progress) -> Path:
    """Make the full-size model in float for one engine, as the recipe ``fp32`` does."""
    steps = recipes.steps([{"export": {}}, {"build": {"engines": [engine]}}])
    return pipeline.make(steps, job, progress=progress)[-1].artifact.path


def _int8(base: Base, job: Job, progress: Progress) -> tuple[Path, Mapping[str, Any]]:
    """Make and verify the full-size model in int8, to show what int8 alone costs."""
    gate = {"max_drop": 1.0, "min_agreement": 0.0}
    entries: list[dict[str, Any]] = [
        {"export": {}},
        {"quantize": dict(base.quantize)},
        {"build": dict(base.build)},
        {"verify": {**base.verify, "gate": gate}},
    ]
    made = pipeline.make(recipes.steps(entries), job, progress=progress)
    draft = next(item.artifact.path for item in made if item.artifact.kind is Kind.DRAFT)
    return draft, pipeline.read_report(made[-1].artifact.path)


def _metric(report: Mapping[str, Any], engine: str) -> float:
    """Return the metric on an engine; on the first that ran where that one is only on the device."""
    found = {each["engine"]: each["metrics"] for each in report["engines"] if each["metrics"]}
    metrics = found.get(engine) or next(iter(found.values()))
    return float(metrics[report["metric"]])
