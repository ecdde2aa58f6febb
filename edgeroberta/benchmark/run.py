"""From a bundle to its table: find the data, the reference and the baseline, and compare."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgeroberta import metrics
from edgeroberta.benchmark import evaluation_data, lineup
from edgeroberta.benchmark import table as tables
from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.comparison import Comparison, compare, fastest
from edgeroberta.benchmark.row import EvaluationData
from edgeroberta.errors import EdgeRobertaError, UsageError, did_you_mean
from edgeroberta.hardware import machine_facts
from edgeroberta.measure.environment import Looking
from edgeroberta.measure.process import MeasuredModel, Worker
from edgeroberta.measure.protocol import DTYPES, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan
from edgeroberta.measure.validity import RunValidity
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest, preferences, processor
from edgeroberta.storage import artifact
from edgeroberta.targets.matching import resolve
from edgeroberta.tasks import Task

__all__ = ["BenchRequest", "benchmark", "judged", "keep", "remember", "write"]


def benchmark(
    request: BenchRequest,
    *,
    progress: Progress,
    start: Callable[[SubjectSpec], MeasuredModel] = Worker,
    look: Looking | None = None,
) -> Comparison:
    """Measure a bundle beside the baseline it came from.

    ``look``: makes what looks at the device during turns; what this machine offers when None. Returns the
    table. What could not be found is said in its notes.
    """
    target = resolve(request.target, machine_facts()).name if request.target is not None else None
    facts = manifest.read(request.bundle)
    if request.length is not None and not 2 <= request.length <= facts.max_length:
        raise UsageError(f"must be 2 to {facts.max_length} for this bundle", where="--length")
    for dtype in request.dtypes:
        if dtype not in DTYPES:
            raise UsageError(
                f"unknown type {dtype!r} ({', '.join(DTYPES)})",
                where="--dtype",
                hint=did_you_mean(dtype, DTYPES),
            )
    models = lineup.exported_models(request, facts)
    notes: list[str] = []
    found = evaluation_data.find(request, facts, notes)
    found = replace(found, task=judged(request, found))
    used = (name for asked in request.engines or facts.engines for name in asked.split("+"))
    for engine in dict.fromkeys(used):
        if (advice := processor.advise(facts, engine)) is not None:
            notes.append(f"{engine}: {advice}.")
    plan = RepetitionPlan(
        rounds=request.rounds,
        batch=request.batch,
        tokens=evaluation_data.tokens(request, facts, found),
        threads=request.threads,
    )
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            *lineup.baseline_rows(request, facts, found, Path(scratch), notes),
            *lineup.bundle_rows(request, found.inputs),
            *lineup.exported_rows(models, request, facts, found, notes),
        ]
        table = compare(rows, found, plan, progress=progress, start=start, look=look)
    return replace(table, notes=(*notes, *table.notes), target=target)


def judged(request: BenchRequest, data: EvaluationData) -> Task:
    """Return the task judged by a metric that the rows have: the bundle's own, or what is usual for them.

    Raises UsageError: another metric was asked for, which these rows or the task do not have.
    """
    task = data.task.judge_by(lineup.gate_of(request).metric)
    if data.rows is None or data.rows.labels is None:
        return task
    truth = task.truth(data.rows.labels)
    if task.metrics[task.metric].fits(truth):
        return task
    if request.metric is None:
        task = data.rows.shown(replace(data.task, judged_by=None))
        return replace(data.task, judged_by=task.judged_by)
    known = metrics.measured(task, truth)
    raise UsageError(
        f"these rows have no {task.metric}",
        where="--metric",
        hint=f"one of {', '.join(known)}",
        code="usage.metric-unknown",
    )


def write(comparison: Comparison, bundle: Path) -> Path:
    """Write ``reports/bench.md`` and ``reports/bench.json`` into a bundle and return the former.

    Raises EdgeRobertaError: the folder cannot be written, or has files of others of these names.
    """
    return keep(bundle, "bench", comparison.to_json(), tables.markdown(comparison))


def keep(bundle: Path, name: str, fields: dict[str, Any], markdown: str) -> Path:
    """Write ``NAME.json`` and ``NAME.md`` into a bundle's ``reports/``; they are not part of it."""
    folder = bundle / "reports"
    try:
        folder.mkdir(exist_ok=True)
        artifact.check_place(folder, (f"{name}.json", f"{name}.md"))
        artifact.write_json(folder / f"{name}.json", fields)
        artifact.write_text(folder / f"{name}.md", markdown)
    except OSError as error:
        raise EdgeRobertaError(
            f"the table could not be kept in the bundle ({error.strerror})",
            where=str(folder),
            hint="add --json and redirect it to a file",
        ) from error
    return folder / f"{name}.md"


def remember(comparison: Comparison, request: BenchRequest) -> str | None:
    """Let the fastest engine that the gate did not fail be the first choice on this device from now on.

    Only single texts of the data decide, and only when every engine of the bundle had its turns and the run
    was valid, neither noisy nor throttled. Returns the engine that is preferred from now on; None when there
    is nothing to choose or to rely on.
    """
    facts = manifest.read(request.bundle)
    whole = request.engines is None and comparison.plan.tokens is None and comparison.plan.batch == 1
    row = fastest(comparison)
    if (
        row is None
        or not whole
        or len(facts.engines) < 2
        or comparison.validity.verdict is not RunValidity.VALID
    ):
        return None
    engine = row.engine.partition(" ")[0]
    figures = asdict(row.latency) if row.latency else {}
    kept = preferences.remember(
        facts.digest, engine, why="the fastest that passed in a bench", figures=figures
    )
    return engine if kept else None
