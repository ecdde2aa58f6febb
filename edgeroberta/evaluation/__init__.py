"""Verification: is the compressed model still as right as the baseline?

Both models answer the same held-out rows. The loss of the task's metric and the share of rows with the same
answer get intervals, and the gate is asked whether they lie on one side of what it allows; see
:mod:`edgeroberta.evaluation.gate`.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeroberta import metrics
from edgeroberta.data import Rows, texts
from edgeroberta.errors import DataError, UnavailableError
from edgeroberta.evaluation import cascades, changed_measuring, compared_answers, flips, slices, soundness
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.cascades import CascadeResult
from edgeroberta.evaluation.changed_measuring import ChangeAsking
from edgeroberta.evaluation.combined import combined
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.invariance import check_invariance
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import EngineResult, GateVerdict, Invariance, Judgement, Report, to_come
from edgeroberta.evaluation.slices import RowSlice, SlicesAsked
from edgeroberta.evaluation.soundness import DataSoundness
from edgeroberta.hardware import machine_facts
from edgeroberta.latency import int8
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.measure import mask_answers, subjects
from edgeroberta.measure.process import MeasuredModel, Worker
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.progress import Progress
from edgeroberta.storage.publishing import name_of
from edgeroberta.tasks import Task, WordTags
from edgeroberta.tasks.schemes import scheme_of_tags

logger = logging.getLogger(__name__)

Start = Callable[[SubjectSpec], MeasuredModel]


@dataclass(frozen=True)
class EvaluationOptions:
    """How to verify."""

    gate: GateLimits = field(default_factory=GateLimits)  # what may be lost
    engines: tuple[str, ...] | None = None  # engines to measure; None for all that the bundle has
    latency_rows: int = 100  # calls in each of three rounds
    threads: int = 1  # threads an engine gets
    examples: int = 2000  # changed answers to list
    keep_examples: bool = False  # show them with their texts, not by the number of their row alone
    seed: int = 0  # seed of the bootstrap and of the choice of texts
    leaked: int | None = None  # rows whose text was also among the training data; None when unknown
    slices: SlicesAsked = field(default_factory=SlicesAsked)  # what rows are told apart by


def verify(
    bundle: Path,
    rows: Rows,
    reference: BaselineAnswers,
    *,
    options: EvaluationOptions,
    progress: Progress,
    start: Start = Worker,
) -> Report:
    """Measure a bundle on each of its engines against the baseline.

    ``bundle``: bundle folder, with or without a verdict. ``reference``: what the baseline answers on
    these rows; checked by the caller. Returns the report. An engine that fails is a row with the verdict
    FAIL, or INCONCLUSIVE where its package is not installed or it runs only on the device; see :func:`worst`.
    """
    if rows.labels is None:
        raise DataError("verification needs labels, these rows have none", where=rows.source)
    task = reference.task
    changes = changed_measuring.prepare(rows, reference, options.gate)
    parts = slices.find(options.slices, rows, task)
    specs = subjects.bundle_specs(bundle, rows.inputs(), engines=options.engines, threads=options.threads)
    targets = mask_answers.targets_of(rows.labels)
    way = "batched" if targets is None else "asked"
    runs = [RepetitionRun(str(spec.engine), start(replace(spec, targets=targets)), way=way) for spec in specs]
    plan = RepetitionPlan(rounds=3, calls=options.latency_rows, threads=options.threads, seed=options.seed)
    steady, gains = _ask(runs, bundle, plan, rows, task, progress)
    sound = soundness.examine(task, reference.outputs, rows, options.gate, leaked=options.leaked)
    tiers = _ask_last_tiers(runs, bundle, rows, options, task, start, progress)
    asking = ChangeAsking(options.threads, options.seed, start, progress)
    changed = changed_measuring.measure(changes, bundle, runs, rows, reference, options.gate, asking)
    warnings = (*sound.warnings, *cascades.warnings(bundle, tiers.values()))
    for warning in warnings:
        logger.warning("%s", warning)
    results = tuple(
        replace(
            changed_measuring.applied(
                _result(entry, plan, rows, reference, options, steady[entry.name], sound, parts),
                changed.get(entry.name),
            ),
            gain=gains.get(entry.name),
            cascade=tiers.get(entry.name),
        )
        for entry in runs
    )
    ran = next((entry for entry in runs if entry.outputs is not None), None)
    shown = None if ran is None else ran.outputs
    return Report(
        judgement=worst(results),
        gate=options.gate,
        metric=options.gate.metric or task.metric,
        problem=task.problem.value,
        labels=task.labels,
        scheme=str(scheme_of_tags(task.labels, tags)) if isinstance(tags := rows.labels, WordTags) else None,
        data=_data(rows, options),
        baseline=_baseline(reference, rows),
        engines=results,
        flips=flips.examples(
            rows,
            replace(reference, task=options.gate.of(task)),
            shown,
            options.examples,
            texts=options.keep_examples,
        ),
        machine=machine_facts(),
        measured_at=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        slices=asdict(options.slices) if options.slices else None,
        warnings=warnings,
        answers=None
        if ran is None or shown is None
        else compared_answers.compare(task, ran.name, reference.outputs, shown, rows.labels),
    )


def _ask(
    runs: Sequence[RepetitionRun],
    bundle: Path,
    plan: RepetitionPlan,
    rows: Rows,
    task: Task,
    progress: Progress,
) -> tuple[dict[str, Invariance | None], dict[str, Int8Speedup]]:
    """Time every engine, let it answer, and close it; say how steady answers are, and what int8 brings."""
    inputs = rows.inputs()
    sizes = [len(str(each)) for each in inputs]
    try:
        run_interleaved(runs, plan, sizes, progress)
        answer_all(runs, len(rows), progress)
        steady = {entry.name: check_invariance(entry, task, inputs) for entry in runs}
        # Last, because what goes wrong here is no fault of the bundle's.
        gains = int8.measure(runs, bundle, plan, sizes, progress)
    finally:
        for entry in runs:
            entry.worker.close()
    if all(entry.error and entry.error.status is RowStatus.MISSING for entry in runs):
        raise _none_installed(runs)
    return steady, gains


def _data(rows: Rows, options: EvaluationOptions) -> dict[str, Any]:
    return {
        "source": name_of(rows.source),
        "digest": rows.digest,
        "rows": len(rows),
        "texts": int(texts.groups(rows).max()) + 1,
        "leaked": options.leaked,
    }


def _baseline(reference: BaselineAnswers, rows: Rows) -> dict[str, Any]:
    # A reference of an earlier version may not tell all metrics.
    measured = (
        {} if rows.labels is None else metrics.all_metrics(reference.task, reference.outputs, rows.labels)
    )
    return {
        **reference.to_json(),
        "model": name_of(reference.model),
        "data_source": name_of(reference.data_source),
        "metrics": measured,
    }


def _ask_last_tiers(
    runs: Sequence[RepetitionRun],
    bundle: Path,
    rows: Rows,
    options: EvaluationOptions,
    task: Task,
    start: Start,
    progress: Progress,
) -> dict[str, CascadeResult]:
    return cascades.measure(
        bundle,
        runs,
        rows,
        options.gate.of(task),
        threads=options.threads,
        confidence=options.gate.confidence,
        seed=options.seed,
        start=start,
        progress=progress,
    )


def worst(results: Sequence[EngineResult]) -> Judgement:
    """Return the judgement of the bundle: that of its worst engine, which the reason names.

    Engines that run only on a device, where this machine is none, do not count: what could be measured
    here decides, since ONNX Runtime runs the same int8 plan as TensorRT. They are not taken for passed
    either: each keeps its own INCONCLUSIVE, and the reason names them.
    """
    order = (GateVerdict.FAIL, GateVerdict.INCONCLUSIVE, GateVerdict.PASS)
    waiting = [each.engine for each in results if each.to_come]
    here = [each for each in results if not each.to_come]
    result = min(here or results, key=lambda each: order.index(each.judgement.verdict))
    found = result.judgement
    reason = f"{result.engine}: {found.reason}"
    if waiting and here:
        reason += f"; still to be measured on the device: {', '.join(waiting)}"
    return Judgement(found.verdict, reason, found.rows_needed)


def _result(
    entry: RepetitionRun,
    plan: RepetitionPlan,
    rows: Rows,
    reference: BaselineAnswers,
    options: EvaluationOptions,
    steady: Invariance | None,
    sound: DataSoundness,
    parts: Sequence[RowSlice],
) -> EngineResult:
    opened, outputs = entry.opened, entry.outputs
    if entry.error is not None or opened is None or outputs is None or rows.labels is None:
        return _failed(entry)
    task = reference.task
    answers = PairedAnswers(task, reference.outputs, outputs, rows.labels, texts.groups(rows), options.seed)
    judgement, evidence = apply_gate(answers, options.gate)
    sliced = slices.measure(answers, parts, options.gate)
    if sliced and options.gate.slices is not None:
        judgement = combined(judgement, slices.judge(sliced, options.gate, texts=evidence.texts))
    judgement = sound.applied(judgement)
    if steady is not None and steady.flips:
        judgement = Judgement(
            GateVerdict.FAIL,
            f"{steady.flips} of {steady.rows} texts change their answer"
            f"{'' if outputs.tiers is None else ', or its tier,'} with their batch or padding",
        )
    return EngineResult(
        engine=entry.name,
        version=opened.version,
        status=RowStatus.WRONG if judgement.verdict is GateVerdict.FAIL else RowStatus.OK,
        judgement=judgement,
        metrics=metrics.all_metrics(task, outputs, rows.labels),
        drop=evidence.drop,
        agreement=evidence.agreement.mean,
        agreement_interval=evidence.agreement,
        recalls=evidence.recalls,
        slices=sliced,
        flips=int((~metrics.agrees(options.gate.of(task), reference.outputs, outputs)).sum()),
        latency=entry.latency(plan),
        cold_start_s=opened.cold_start_s,
        peak_bytes=entry.peak_bytes,
        bytes=opened.bytes,
        invariance=steady,
    )


def _none_installed(runs: Sequence[RepetitionRun]) -> UnavailableError:
    missing = [entry.error for entry in runs if entry.error is not None]
    return UnavailableError("; ".join(error.what for error in missing), hint=missing[0].hint)


def _failed(entry: RepetitionRun) -> EngineResult:
    error = entry.error
    status = error.status if error else RowStatus.FAILED
    missing = status is RowStatus.MISSING
    reason = f"{status}: {error.what}" if error else str(status)
    if error and to_come(entry.name, status):
        reason = f"to be measured on the device, with: edgeroberta bench (here: {error.what})"
    return EngineResult(
        engine=entry.name,
        version=entry.opened.version if entry.opened else None,
        status=status,
        judgement=Judgement(
            GateVerdict.INCONCLUSIVE if missing else GateVerdict.FAIL,
            reason,
        ),
    )
