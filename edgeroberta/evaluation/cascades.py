"""Cascades on held-out rows: who answered how much and how well, and what the last tier says there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.data import Rows, texts
from edgeroberta.measure import mask_answers, subjects
from edgeroberta.measure.process import MeasuredModel
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest
from edgeroberta.runtime.tier_facts import CascadeFacts
from edgeroberta.tasks import Outputs, Task

Start = Callable[[SubjectSpec], MeasuredModel]


@dataclass(frozen=True)
class TierResult:
    """What one tier of a cascade answered."""

    name: str
    texts: int  # how many texts it answered
    share: float  # the part of all texts that is
    metric: float | None  # the task's metric on these texts; None where it answered none
    agreement: float | None  # share of these texts with the last tier's answer; None likewise


@dataclass(frozen=True)
class CascadeResult:
    """What a cascade answered on one engine, beside what its last tier would have answered."""

    agreement: Interval  # share of rows with the last tier's answer, copies of a text together
    tiers: tuple[TierResult, ...]  # in the order in which they are asked


def measure(
    bundle: Path,
    runs: Sequence[RepetitionRun],
    rows: Rows,
    task: Task,
    *,
    threads: int,
    confidence: float,
    seed: int,
    start: Start,
    progress: Progress,
) -> dict[str, CascadeResult]:
    """Ask the last tier alone on each engine where a cascade has answered, and compare.

    ``runs``: the bundle on its engines, with its answers to ``rows``. ``confidence``: of the interval,
    two-sided. Returns the results by engine; none for a bundle of one model, and for engines that failed.
    """
    facts = manifest.read(bundle).cascade
    found = {}
    for run in runs:
        if facts is None or run.error is not None or run.outputs is None or run.outputs.tiers is None:
            continue
        (spec,) = subjects.bundle_specs(bundle, rows.inputs(), engines=(run.name,), threads=threads)
        targets = mask_answers.targets_of(rows.labels)
        worker = start(replace(spec, targets=targets, tier=facts.last))
        alone = RepetitionRun(run.name, worker, way=run.way)
        try:
            run_interleaved([alone], RepetitionPlan(rounds=0, threads=threads), [], progress)
            answer_all([alone], len(rows), progress)
        finally:
            alone.worker.close()
        if alone.error is not None or alone.outputs is None:
            continue
        how = BootstrapOptions(seed, texts.groups(rows), confidence)
        found[run.name] = result(facts, task, run.outputs, alone.outputs, rows, how)
    return found


def result(
    facts: CascadeFacts, task: Task, outputs: Outputs, last: Outputs, rows: Rows, how: BootstrapOptions
) -> CascadeResult:
    """Compare a cascade with its last tier alone.

    ``outputs``, ``last``: what each gave for the rows; the former tell who gave them. ``how``: how the
    interval is made.
    """
    if outputs.tiers is None:
        raise ValueError("the outputs of a cascade tell which tier gave them")
    same = metrics.agrees(task, last, outputs)
    return CascadeResult(
        metrics.share_interval(same, how),
        tuple(
            _tier(name, task, outputs, rows, same, outputs.tiers == number)
            for number, name in enumerate(facts.names)
        ),
    )


def _tier(
    name: str,
    task: Task,
    outputs: Outputs,
    rows: Rows,
    same: npt.NDArray[np.bool_],
    own: npt.NDArray[np.bool_],
) -> TierResult:
    (numbers,) = np.nonzero(own)
    score = None
    if len(numbers) and rows.labels is not None:
        score = metrics.score(task, outputs[numbers], rows.labels[numbers])
    return TierResult(
        name,
        len(numbers),
        float(own.mean()),
        score,
        float(same[numbers].mean()) if len(numbers) else None,
    )


def warnings(bundle: Path, results: Iterable[CascadeResult]) -> tuple[str, ...]:
    """Warn where held-out rows contradict what was promised of texts like those for the thresholds."""
    facts = manifest.read(bundle).cascade
    lowest = min(results, key=lambda found: found.agreement.high, default=None)
    if facts is None or lowest is None or lowest.agreement.high >= facts.agreement:
        return ()
    return (
        f"of the held-out rows {lowest.agreement.mean:.1%} have the last tier's answer, and"
        f" {100 * facts.agreement:.4g}% were promised: the rows that the thresholds were chosen by are unlike"
        " these, or the model had learnt from them before",
    )
