"""What a budget came to: what was made is timed in turns with the baseline, in float and in int8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeroberta import distributed, pipeline
from edgeroberta.errors import EngineError
from edgeroberta.pipeline import RunResult
from edgeroberta.pipeline.job import PipelineJob
from edgeroberta.progress import Progress
from edgeroberta.report.pareto import ParetoPoint
from edgeroberta.runtime import manifest
from edgeroberta.search import candidate_recipes
from edgeroberta.search import result as search_result
from edgeroberta.search.candidate_recipes import CandidateSettings
from edgeroberta.search.candidates import Candidate
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.search.probing import ShortDistillation
from edgeroberta.search.result import FULL, MADE, SearchResult, TimedBundle
from edgeroberta.search.selection import DeviceLatency
from edgeroberta.storage.artifact import Kind

#: Names of the Pareto front's points beside the candidate's.
FLOAT, INT8 = "float32", "int8 alone"


@dataclass(frozen=True)
class DeliveredBundle:
    """A delivered bundle and how it came about; see :class:`SearchResult`."""

    limits: BudgetLimits
    candidate: Candidate
    probes: tuple[ShortDistillation, ...]
    device: DeviceLatency
    base: CandidateSettings
    result: RunResult
    host: str | None

    @property
    def name(self) -> str:
        """The name of its point; a model of which nothing was taken is int8 alone."""
        taken = not self.candidate.everything or self.candidate.vocabulary is not None
        return self.candidate.name if taken else INT8


@dataclass(frozen=True)
class _BaselineTimes:
    """A bundle, its metric on the held-out rows, and what a text takes in seconds by the table."""

    folder: Path
    score: float
    predicted: float  # median, of a cascade the mean
    cascade: bool = False


def evaluate(made: DeliveredBundle, job: PipelineJob, progress: Progress) -> SearchResult | None:
    """Measure what was made beside the baseline; collective, None on all but the main process."""
    table, lengths = made.device.table, made.device.lengths
    report = made.result.report or {}
    metric = str(report["metric"])
    full = float(report["baseline"]["metrics"][metric])
    folder = _float_bundle(table.engine, job, progress)
    models = {FLOAT: _BaselineTimes(folder, full, table.baseline(lengths).p50)}
    if made.name != INT8:
        draft, verified = _int8(made.base, job, progress)
        score = _metric(verified, table.engine, metric)
        models[INT8] = _BaselineTimes(draft, score, table.baseline(lengths, small=True).p50)
    if not distributed.current().main:
        return None
    score = _metric(report, table.engine, metric)
    cascade = manifest.read(made.result.bundle).cascade is not None
    models[made.name] = _BaselineTimes(made.result.bundle, score, made.candidate.typical, cascade)
    times: dict[str, TimedBundle] = {}
    if made.host is None:
        times = search_result.time_in_turns(
            {name: model.folder for name, model in models.items()},
            job.data.validation.inputs(),
            engine=table.engine,
            threads=table.threads,
            progress=progress,
        )
    found = _summed(made, models, times, metric)
    found.write(made.result.bundle)
    return found


def _summed(
    made: DeliveredBundle,
    models: Mapping[str, _BaselineTimes],
    times: Mapping[str, TimedBundle],
    metric: str,
) -> SearchResult:
    full, mine = models[FLOAT], models[made.name]
    return SearchResult(
        limits=made.limits,
        chosen=made.candidate,
        probes=made.probes,
        predicted=made.candidate.predicted,
        measured=_measured(times.get(FLOAT), times.get(made.name), mine),
        metric=metric,
        kept=mine.score / full.score if full.score else 1.0,
        points=tuple(_point(name, model, times.get(name)) for name, model in models.items()),
        engine=made.device.table.engine,
        device=made.device.table.device,
        elsewhere=made.host,
        full_then=full.predicted * 1000,
        full_now=times[FLOAT].calls.p50 * 1000 if FLOAT in times else None,
    )


def _measured(
    full: TimedBundle | None, mine: TimedBundle | None, model: _BaselineTimes
) -> dict[str, float | None]:
    size = search_result.size_of(model.folder)
    if full is None or mine is None:
        names = ("mean_ms", "p50_ms", "p95_ms", "p99_ms", "speedup", "escalated")
        return {**dict.fromkeys(names), "bytes": size}
    by = "mean" if model.cascade else "p50"
    speedup = getattr(full.calls, by) / getattr(mine.calls, by)
    return {**mine.calls.to_json(), "speedup": speedup, "escalated": mine.escalated, "bytes": size}


def _point(name: str, model: _BaselineTimes, found: TimedBundle | None) -> ParetoPoint:
    seconds = model.predicted
    if found is not None:
        seconds = found.calls.mean if model.cascade else found.calls.p50
    return ParetoPoint(
        f"{name} (mean)" if model.cascade else name,
        1000 * seconds,
        model.score,
        search_result.size_of(model.folder),
        FULL if name == FLOAT else MADE,
        predicted=found is None,
    )


def _float_bundle(engine: str, job: PipelineJob, progress: Progress) -> Path:
    """Make the baseline in float for one engine, as the recipe ``fp32`` does."""
    steps = candidate_recipes.steps([{"export": {}}, {"build": {"engines": [engine]}}])
    return pipeline.make(steps, job, progress=progress)[-1].artifact.path


def _int8(base: CandidateSettings, job: PipelineJob, progress: Progress) -> tuple[Path, Mapping[str, Any]]:
    """Make and verify the baseline in int8, to show what int8 alone costs."""
    gate = {"max_drop": 1.0, "min_agreement": 0.0}
    items: list[dict[str, Any]] = [
        {"export": {}},
        {"quantize": dict(base.quantize)},
        {"build": dict(base.build)},
        {"verify": {**base.verify, "gate": gate}},
    ]
    made = pipeline.make(candidate_recipes.steps(items), job, progress=progress)
    draft = next(item.artifact.path for item in made if item.artifact.kind is Kind.DRAFT)
    return draft, pipeline.read_report(made[-1].artifact.path)


def _metric(report: Mapping[str, Any], engine: str, metric: str) -> float:
    """Return a metric on an engine; on the first that ran where that one is only on the device."""
    found = {each["engine"]: each["metrics"] for each in report["engines"] if each["metrics"]}
    if not found:
        raise EngineError(
            f"no engine could run the model, so its worth is not known: {report['judgement']['reason']}",
            hint="edgeroberta doctor tells which engines work here; the bundle's reports/report.md has more",
        )
    metrics = found.get(engine) or next(iter(found.values()))
    return float(metrics[metric])
