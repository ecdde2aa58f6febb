"""One table: the stored reference, the baseline here, and the bundle on each engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeroberta.benchmark.row import (
    BUNDLE,
    BenchmarkRow,
    EvaluationData,
    RowSpec,
    make_rows,
    mark_meaningless_labels,
    mark_throttled,
    reference_row,
    with_baseline_answers,
    with_speed_up,
)
from edgeroberta.data import texts
from edgeroberta.errors import UnavailableError
from edgeroberta.evaluation import soundness
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.soundness import DataSoundness
from edgeroberta.hardware import MachineFacts, machine_facts
from edgeroberta.latency import int8
from edgeroberta.measure import environment
from edgeroberta.measure.environment import Looking
from edgeroberta.measure.process import MeasuredModel
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.rounds import (
    RepetitionPlan,
    RepetitionRun,
    answer_all,
    answer_offline,
    run_interleaved,
)
from edgeroberta.measure.validity import Environment, Validity, judge_run
from edgeroberta.metrics import fits
from edgeroberta.progress import Progress
from edgeroberta.storage.publishing import name_of

#: 2: rows carry intervals, parts, offline figures and energy; a run carries its environment and validity.
#: 3: ``plan.repetition_seconds`` was ``turn_seconds``, and the rows ``baseline`` were ``full-size``.
#: 4: rows carry means, and what the tiers of a cascade did.
SCHEMA_VERSION = 4


@dataclass(frozen=True)
class Comparison:
    """The table and what it was measured on.

    Attributes:
        rows: The rows, in the order in which they are shown.
        plan: What the processes were asked.
        metric: Name of the task's metric.
        data: ``source`` and ``rows`` of the data, and how many different ``texts`` they have; None when there
            was none.
        machine: Where this was measured.
        notes: What a reader should know.
        target: Name of the target that this machine was asked to be, or turned out to be; None when it was
            measured as what it is.
        around: The machine before and after the run.
        validity: Whether the times may be relied on.
        cascade: True where the bundle has several models that are asked in turn.
    """

    rows: tuple[BenchmarkRow, ...]
    plan: RepetitionPlan
    metric: str
    data: dict[str, Any] | None
    machine: MachineFacts
    notes: tuple[str, ...] = ()
    target: str | None = None
    around: Environment = field(default_factory=Environment)
    validity: Validity = field(default_factory=Validity)
    cascade: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object."""
        rows = [
            {**asdict(row), "noisy": row.noisy, "escalated": row.cascade and row.cascade.escalated}
            for row in self.rows
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "edgeroberta-bench",
            **asdict(self),
            "rows": rows,
        }


def compare(
    row_specs: Sequence[RowSpec],
    eval_data: EvaluationData,
    plan: RepetitionPlan,
    *,
    progress: Progress,
    start: Callable[[SubjectSpec], MeasuredModel],
    look: Looking | None = None,
) -> Comparison:
    """Measure all rows in interleaved repetitions.

    ``look``: makes what looks at the device during turns; what this machine offers when None. Returns the
    table; a model that failed is a row of it.
    """
    machine = machine_facts()
    before = environment.environment_before(machine)
    runs = [RepetitionRun(_label(row_spec), start(row_spec.spec)) for row_spec in row_specs]
    lengths = [len(str(each)) for each in eval_data.inputs]
    try:
        look = look or environment.watch_on(machine)
        run_interleaved(runs, plan, lengths, progress, look)
        answer_offline(runs, plan, lengths, progress, look)
        around = environment.environment_after(before)
        if eval_data.rows is not None:
            answer_all(runs, len(eval_data.rows), progress)
        gains = _gains(row_specs, runs, plan, lengths, progress)
    finally:
        for entry in runs:
            entry.worker.close()
    known = with_baseline_answers(row_specs, runs, eval_data)
    sound = _examined(row_specs, known)
    rows = make_rows(row_specs, runs, known, plan, machine)
    rows = rows if sound.meaningless is None else mark_meaningless_labels(rows)
    rows = [replace(row, gain=gain) for row, gain in zip(rows, gains, strict=True)]
    throttled = tuple(dict.fromkeys(why for row in rows for why in row.throttled))
    noisy = [entry.name for entry, row in zip(runs, rows, strict=True) if row.noisy]
    # A device that throttled in one turn was hot in the others: no row is worth a claim.
    rows = mark_throttled(rows) if throttled else with_speed_up(rows)
    if eval_data.reference is not None:
        rows.insert(0, reference_row(eval_data.reference, eval_data.task.metric))
    data = None
    if eval_data.rows is not None:
        different = int(texts.groups(eval_data.rows).max()) + 1
        data = {"source": name_of(eval_data.rows.source), "rows": len(eval_data.rows), "texts": different}
    return Comparison(
        tuple(rows),
        plan,
        eval_data.task.metric,
        data,
        machine,
        notes=tuple(f"WARNING: {warning}." for warning in sound.warnings),
        around=around,
        validity=judge_run(around, throttled, noisy, rounds=plan.rounds),
        cascade=any(entry.opened is not None and len(entry.opened.tiers) > 0 for entry in runs),
    )


def _gains(
    row_specs: Sequence[RowSpec],
    runs: Sequence[RepetitionRun],
    plan: RepetitionPlan,
    lengths: Sequence[int],
    progress: Progress,
) -> list[int8.Int8Speedup | None]:
    """Measure what int8 brings on each engine of the bundle; last, since what fails here is not its fault."""
    ours = [row_spec.spec for row_spec in row_specs if row_spec.name == BUNDLE]
    found = int8.measure(runs, Path(ours[0].path), plan, lengths, progress) if ours else {}
    return [
        found.get(str(row_spec.spec.engine)) if row_spec.name == BUNDLE else None for row_spec in row_specs
    ]


def _examined(row_specs: Sequence[RowSpec], known: EvaluationData) -> DataSoundness:
    """Ask by the baseline's answers, stored ones or those of just now, what the labels can measure."""
    full, rows = known.full, known.rows
    if full is None or rows is None or not fits(known.task, full, len(rows)):
        return DataSoundness()
    gate = next((each.gate for each in row_specs if each.name == BUNDLE), GateLimits())
    return soundness.examine(known.task, full, rows, gate)


def fastest(comparison: Comparison) -> BenchmarkRow | None:
    """Return the bundle's row that takes least time, of those that the gate did not fail, if there is one.

    That is by medians, which noise moves less, but of a cascade by means: its median is that of easy texts.
    """
    passed = [
        (row, row.latency)
        for row in comparison.rows
        if row.name == BUNDLE and row.status is RowStatus.OK and row.latency
    ]
    taken = [(latency.mean_ms if row.cascade else latency.p50_ms, row) for row, latency in passed]
    return min(taken, key=lambda each: each[0], default=(0.0, None))[1]


def require_measured(comparison: Comparison, *, where: str = "--engines") -> None:
    """End a command that could measure none of the bundle's engines, after its table has been shown."""
    rows = [row for row in comparison.rows if row.name == BUNDLE]
    if rows and all(row.status is RowStatus.MISSING for row in rows):
        raise UnavailableError(
            f"none of the engines can run here: {', '.join(row.engine for row in rows)}",
            where=where,
            hint="edgeroberta doctor tells what each needs",
        )


def _label(row_spec: RowSpec) -> str:
    return f"{row_spec.name} on {row_spec.spec.engine}" if row_spec.spec.engine else row_spec.name
