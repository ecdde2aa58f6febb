"""Measuring the models of a run for the per-stage metrics, each once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.errors import DataError, EdgeRobertaError
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.per_stage import BASELINE, PerStageMetrics, StageRow, models
from edgeroberta.evaluation.per_stage.models import StageModel
from edgeroberta.evaluation.per_stage.store import StageMetrics, StageMetricsStore
from edgeroberta.hardware import machine_facts, versions
from edgeroberta.measure import mask_answers
from edgeroberta.measure.clock import Latency, speed_up
from edgeroberta.measure.process import MeasuredModel as Process
from edgeroberta.measure.process import Worker, WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import manifest
from edgeroberta.runtime.session import installed
from edgeroberta.storage import codedigest
from edgeroberta.storage.artifact import Artifact, Kind, digest_value
from edgeroberta.tasks import Outputs, Task

Start = Callable[[SubjectSpec], Process]

_MISSING = "ONNX Runtime is not installed: pip install 'edgeroberta[onnxruntime]'"
_PACKAGES = ("onnxruntime", "openvino", "tokenizers")

#: Held-out rows that every model answers, at most: of 2,000 rows one is 0.05 points.
MOST_ROWS = 2000
#: The fixed latency measurement: 3 turns of 30 single texts on one thread, the baseline taking the
#: same turns. A turn ends after 3 seconds, so that a model of 1 s a text costs 20 s, not 3 minutes.
TIMED = RepetitionPlan(rounds=3, calls=30, repetition_seconds=3.0, warmup=10, threads=1, seed=0)
#: Turns whose ratios lie further apart than this part of their median make a row noisy, as in ``bench``.
NOISE = 0.1


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose models are to be measured."""

    artifacts: tuple[Artifact, ...]  # every artifact of the run, in order
    baseline: Checkpoint  # the baseline; artifacts before it have no row
    rows: Rows  # the held-out rows, labelled
    reference: BaselineAnswers  # what the baseline answered to them; its task says which answers are the same
    kept: Path | None  # folder where rows outlive the run; None keeps none
    scratch: Path  # folder for graphs that are written only to be measured
    seed: int  # seed of the draw where there are too many rows


def measure(run: EvaluatedRun, *, progress: Progress, start: Start = Worker) -> PerStageMetrics | None:
    """Measure every model of a run that is not measured yet; None without the baseline."""
    found = _models(run)
    if not found:
        return None
    chosen = _chosen(len(run.rows), run.seed)
    per_stage = PerStageMetrics(
        run.reference.task.metric, len(chosen), len(run.rows), TIMED.rounds * TIMED.calls
    )
    if not installed(models.ENGINE):
        return replace(per_stage, missing=_MISSING)
    book = _MetricsCache(run, chosen, start)
    rows: list[StageRow] = []
    with progress.bar("per_stage", len(found), "models") as advance:
        for made in found:
            rows.append(_lost(book.row(made, first=not rows), rows))
            advance(1, rows[-1].stage)
    return replace(per_stage, rows=tuple(rows))


def _models(run: EvaluatedRun) -> list[Artifact]:
    """Return the models from the baseline on."""
    places = [made.path for made in run.artifacts]
    if run.baseline.folder not in places:
        return []
    return [made for made in run.artifacts[places.index(run.baseline.folder) :] if made.kind in models.KINDS]


def _chosen(count: int, seed: int) -> list[int]:
    if count <= MOST_ROWS:
        return list(range(count))
    drawn = np.random.default_rng([seed, 3]).choice(count, MOST_ROWS, replace=False)
    return sorted(int(index) for index in drawn)


def _lost(row: StageRow, before: list[StageRow]) -> StageRow:
    """Fill in what was lost since the last row that was measured, of a tier since its own last one."""
    own = [each for each in before if row.tier is None or each.tier in (None, row.tier)]
    last = next((each.metric for each in reversed(own) if each.metric is not None), None)
    if last is None or row.metric is None:
        return row
    return replace(row, drop=last - row.metric)


class _MetricsCache:
    """The models measured so far, and what the next one is held to."""

    def __init__(self, run: EvaluatedRun, chosen: list[int], start: Start) -> None:
        self.task: Task = run.reference.task
        self.rows = run.rows.select(chosen)
        if self.rows.labels is None:
            raise DataError("per-stage metrics need labels, these rows have none", where=run.rows.source)
        self.labels = self.rows.labels
        self.answers = run.reference.outputs[chosen]
        self.overlap = run.reference.overlap
        self.scratch = run.scratch / "per_stage"
        self.start = start
        self.parameters: dict[str | None, int] = {}  # of the newest checkpoint, by tier
        self.seen: dict[str, StageMetrics] = {}
        self.first_row: StageMetrics | None = None
        self.baseline: StageModel | None = None
        self.first = next(made for made in run.artifacts if made.path == run.baseline.folder)
        self.checkpoint = run.baseline
        self.store = StageMetricsStore(run.kept, self._environment()) if run.kept is not None else None

    def row(self, made: Artifact, *, first: bool) -> StageRow:
        """Measure one model, or find what was measured of it."""
        row = StageRow(BASELINE if first else made.lineage.stage, made.kind.value, tier=made.tier)
        try:
            checkpoint = self._checkpoint(made)
            parameters = self._parameters(made, checkpoint)
            row = replace(row, parameters=parameters, bytes=models.size(made, checkpoint))
            measured = self._measured(made, checkpoint, first=first)
        except WorkerError as error:
            return replace(row, error=f"{error.status}: {error.what}")
        except EdgeRobertaError as error:
            return replace(row, error=error.what)
        numbers = {name: value for name, value in vars(measured).items() if name != "graph"}
        return replace(row, **numbers)

    def _parameters(self, made: Artifact, checkpoint: Checkpoint | None) -> int | None:
        """Count the parameters of a model; of a cascade those of all its tiers."""
        if checkpoint is not None:
            self.parameters[made.tier] = checkpoint.parameters
        elif "parameters" in made.lineage.notes:  # a graph that was not written from a checkpoint
            self.parameters[made.tier] = int(made.lineage.notes["parameters"])
        elif made.tier is not None and None in self.parameters:  # of the model before the cascade
            self.parameters.setdefault(made.tier, self.parameters[None])
        facts = manifest.read(made.path).cascade if made.kind is Kind.DRAFT and made.tier is None else None
        if facts is None:
            return self.parameters.get(made.tier)
        return sum(self.parameters.get(name, 0) for name in facts.names)

    def _checkpoint(self, made: Artifact) -> Checkpoint | None:
        if made.kind is not Kind.CHECKPOINT:
            return None
        return self.checkpoint if made is self.first else Checkpoint(made.path)

    def _measured(self, made: Artifact, checkpoint: Checkpoint | None, *, first: bool) -> StageMetrics:
        # The baseline row is not asked but takes the reference's answers: the same model as a
        # checkpoint of the run is, so it has a name of its own.
        content = f"{BASELINE}: {made.lineage.content}" if first else made.lineage.content
        found = self.store.find(content) if self.store else None
        if found is None:
            if first:
                found = self._sum_up(self._baseline(), self.answers)
            else:
                model = models.prepare(made, checkpoint, self.scratch / "model", pair=self.task.joins)
                found = self.seen.get(model.graph)
                if found is None:
                    found = self._sum_up(model, self._ask(model))
            if self.store:
                self.store.keep(content, found)
        if first:
            self.first_row = found
        else:
            self.seen[found.graph] = found
        return found

    def _baseline(self) -> StageModel:
        if self.baseline is None:
            place = self.scratch / "baseline"
            self.baseline = models.prepare(self.first, self.checkpoint, place, pair=self.task.joins)
        return self.baseline

    def _ask(self, model: StageModel) -> Any:
        """Return the outputs for all rows; all processors work on them, which changes no answer."""
        spec = self._spec(model, threads=machine_facts().cores)
        way = "batched" if spec.targets is None else "asked"
        entry = RepetitionRun(model.engine, self.start(spec), way=way)
        try:
            entry.attempt(_open, entry)
            answer_all([entry], len(self.rows), Progress())
        finally:
            entry.worker.close()
        if entry.error is not None:
            raise entry.error
        return entry.outputs

    def _sum_up(self, model: StageModel, outputs: Any) -> StageMetrics:
        full = self.first_row
        # What is the same graph is as fast: the baseline's own export takes no turns.
        timing = _timing(full) if full and full.graph == model.graph else self._time(model)
        return StageMetrics(
            graph=model.graph,
            metric=metrics.score(self.task, outputs, self.labels),
            agreement=metrics.agreement(self.task, self.answers, outputs),
            flips=int((~metrics.agrees(self.task, self.answers, outputs)).sum()),
            calibration_error=metrics.calibration_error(self.task, outputs, self.labels),
            **timing,
        )

    def _time(self, model: StageModel) -> dict[str, Any]:
        """Time a model and the baseline in turns."""
        full = self._baseline()
        pair = [full] if model is full else [full, model]
        runs = [RepetitionRun(each.engine, self.start(self._spec(each, threads=1))) for each in pair]
        try:
            run_interleaved(runs, TIMED, [len(str(each)) for each in self.rows.inputs()], Progress())
        finally:
            for entry in runs:
                entry.worker.close()
        for entry in runs:
            if entry.error is not None:
                raise entry.error
        latencies = list(_latencies(runs))
        opened = runs[-1].opened
        return {
            "engine": f"{model.engine} {opened.version}" if opened else model.engine,
            "p50_ms": latencies[-1].p50_ms,
            "speed_up": speed_up(latencies[0], latencies[-1]),
            "noisy": _noisy(latencies[0], latencies[-1]),
        }

    def _spec(self, model: StageModel, *, threads: int) -> SubjectSpec:
        inputs = self.rows.inputs()
        return SubjectSpec(
            model.subject,
            str(model.folder),
            inputs,
            threads=threads,
            engine=model.engine,
            overlap=self.overlap,
            targets=mask_answers.targets_of(self.labels),
        )

    def _environment(self) -> str:
        """Digest all but the model that its numbers depend on."""
        return digest_value(
            {
                "rows": self.rows.digest,
                "task": self.task.to_json(),
                **({} if self.task.min_cosine is None else {"min_cosine": self.task.min_cosine}),
                "answers": _digest(self.answers),
                "baseline": self.first.lineage.content,
                "code": codedigest.of(__name__),
                "versions": versions(_PACKAGES),
                "processor": machine_facts().cpu,
                "plan": [TIMED.rounds, TIMED.calls, TIMED.repetition_seconds, TIMED.threads],
            }
        )


def _digest(outputs: Outputs) -> str:
    digest = hashlib.sha256()
    for array in (outputs.values, outputs.offsets, outputs.places):
        digest.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _open(entry: RepetitionRun) -> None:
    entry.opened = entry.worker.open()


def _timing(measured: StageMetrics) -> dict[str, Any]:
    return {name: getattr(measured, name) for name in ("engine", "p50_ms", "speed_up", "noisy")}


def _noisy(full: Latency, other: Latency) -> bool:
    ratios = np.asarray(full.round_p50_ms) / np.asarray(other.round_p50_ms)
    return bool(np.ptp(ratios) > NOISE * np.median(ratios))


def _latencies(runs: list[RepetitionRun]) -> Iterator[Latency]:
    for entry in runs:
        latency = entry.latency(TIMED)
        if latency is None:
            raise WorkerError(RowStatus.FAILED, "it answered no text in its turns")
        yield latency
