"""A row of the table: what one model took and how right it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from edgeroberta import metrics
from edgeroberta.data import texts
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.gate import PairedAnswers, apply_gate
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict
from edgeroberta.hardware import MachineFacts
from edgeroberta.latency.int8 import Int8Speedup
from edgeroberta.measure.clock import Latency, speed_up
from edgeroberta.measure.offline import Throughput
from edgeroberta.measure.protocol import Inputs, RowStatus, SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun
from edgeroberta.measure.tiers import CascadeUse
from edgeroberta.measure.validity import MOST_SPREAD
from edgeroberta.tasks import Outputs, Task

#: Names of the rows; the baseline on a GPU is named with its type besides.
REFERENCE, BASELINE, FLOAT_ONNX, BUNDLE = "reference", "baseline", "baseline, onnx fp32", "bundle"
#: What the names of baseline rows on a GPU begin with; their type follows.
ON_GPU = f"{BASELINE}, cuda "
#: float32 on another machine or engine may flip a row that lies on the edge, not one in a hundred.
SAME_MODEL = GateLimits(max_drop=0.01, min_agreement=0.99)


@dataclass(frozen=True)
class RowSpec:
    """A row to measure."""

    name: str  # one of the names above
    spec: SubjectSpec  # how to open it
    #: what its answers may differ by from those of the baseline before the row is called wrong
    gate: GateLimits


@dataclass(frozen=True)
class BenchmarkRow:
    """A row of the table; what could not be measured is None."""

    name: str  # what was measured
    engine: str  # what it ran on, with its version
    device: str  # CPU or GPU it ran on
    status: RowStatus  # how it ended
    detail: str = ""  # what went wrong, if anything
    bytes: int | None = None  # size of the files it loads
    metric: float | None = None  # the task's metric on the rows of data
    agreement: float | None = None  # share of rows with the baseline's answer
    latency: Latency | None = None  # how long calls took
    offline: Throughput | None = None  # how many texts it answers in a second when all are there
    energy_mj: float | None = None  # millijoules per text over the timed calls, of all the device used
    throttled: tuple[str, ...] = ()  # what says that the device slowed itself down while the row was timed
    peak_bytes: int | None = None  # peak memory of the process after the timed calls
    cold_start_s: float | None = None  # from before the first import to the first answer
    #: times faster than the baseline here, in the same rounds; see :func:`baseline`
    speed_up: float | None = None  # by medians
    mean_speed_up: float | None = None  # the same by means, in which slow texts count for what they take
    #: what int8 brings over floats of the same shape on this engine; None for floats and on a GPU
    gain: Int8Speedup | None = None
    #: what the tiers of a cascade did; None of other models, and on random ids
    cascade: CascadeUse | None = None

    @property
    def noisy(self) -> bool:
        """True when its rounds were too far apart, or it was measured before it was warm."""
        latency = self.latency
        if latency is None or self.status is RowStatus.STORED:
            return False
        return not latency.steady or (latency.spread or 0.0) > MOST_SPREAD


@dataclass(frozen=True, eq=False)
class EvaluationData:
    """What rows are measured on and held against."""

    task: Task  # what the models answer
    inputs: Inputs  # texts or pairs
    rows: Rows | None = None  # the same with labels; None when there is no data
    #: the baseline's answers to the rows, where they are stored
    full: Outputs | None = None
    reference: BaselineAnswers | None = None  # the stored reference, shown as a row of its own


def with_baseline_answers(
    row_specs: Sequence[RowSpec], runs: Sequence[RepetitionRun], eval_data: EvaluationData
) -> EvaluationData:
    """Without stored answers for these rows, take those that the baseline gave just now."""
    if eval_data.full is not None:
        return eval_data
    pairs = zip(row_specs, runs, strict=True)
    full = (entry.outputs for row_spec, entry in pairs if row_spec.name in (BASELINE, FLOAT_ONNX))
    return replace(eval_data, full=next((each for each in full if each is not None), None))


def make_rows(
    row_specs: Sequence[RowSpec],
    runs: Sequence[RepetitionRun],
    eval_data: EvaluationData,
    plan: RepetitionPlan,
    machine: MachineFacts,
) -> list[BenchmarkRow]:
    """Make the rows of what was measured here, in the order of the specs, without speed-ups."""
    pairs = zip(row_specs, runs, strict=True)
    return [_row(row_spec, entry, eval_data, plan, machine) for row_spec, entry in pairs]


def reference_row(reference: BaselineAnswers, metric: str) -> BenchmarkRow:
    """Show a stored reference as a row; nothing of it was measured now."""
    version = reference.machine.versions.get("torch", "")
    dtype = "" if reference.dtype == "float32" else reference.dtype
    return BenchmarkRow(
        name=REFERENCE,
        engine=" ".join(filter(None, ("torch", version, dtype))),
        device=reference.device,
        status=RowStatus.STORED,
        bytes=reference.bytes,
        metric=reference.metrics.get(metric),  # one of an earlier version may not have it
        latency=reference.latency,
        offline=reference.offline,
        energy_mj=reference.energy_mj,
        throttled=reference.throttled,
    )


def baseline(rows: Sequence[BenchmarkRow], row: BenchmarkRow) -> BenchmarkRow | None:
    """Find the baseline row that a row's speed-up is over.

    Of a row on a GPU, it is the baseline on that GPU in the type that is fastest there: beside a
    processor's single thread, everything on a GPU would look good. Returns the row; that on the processor
    where the GPU has none, and None where neither ran.
    """
    timed = [each for each in rows if each.latency is not None]
    own = next((each for each in timed if each.name == BASELINE), None)
    if own is not None and row.device == own.device:
        return own
    there = [each for each in timed if each.name.startswith(ON_GPU)]
    return min(there, key=lambda each: each.latency.p50_ms if each.latency else 0.0, default=own)


def with_speed_up(rows: Sequence[BenchmarkRow]) -> list[BenchmarkRow]:
    """Fill in how many times faster each row is than the baseline in the same rounds."""
    found = []
    for row in rows:
        base = baseline(rows, row)
        if base is not None and base.latency is not None and row.latency is not None:
            by_medians = speed_up(base.latency, row.latency)
            by_means = speed_up(base.latency, row.latency, figure="mean")
            row = replace(row, speed_up=by_medians, mean_speed_up=by_means)
        found.append(row)
    return found


def mark_meaningless_labels(rows: Sequence[BenchmarkRow]) -> list[BenchmarkRow]:
    """Mark rows that were checked on labels that mean nothing; what answers wrong stays wrong."""
    return [replace(row, status=RowStatus.UNCHECKED) if row.status is RowStatus.OK else row for row in rows]


def mark_throttled(rows: Sequence[BenchmarkRow]) -> list[BenchmarkRow]:
    """Mark rows whose times are those of a device that throttled; what answers wrong stays wrong."""
    fine = (RowStatus.OK, RowStatus.UNCHECKED)
    return [replace(row, status=RowStatus.INVALID) if row.status in fine else row for row in rows]


def _row(
    row_spec: RowSpec,
    entry: RepetitionRun,
    eval_data: EvaluationData,
    plan: RepetitionPlan,
    machine: MachineFacts,
) -> BenchmarkRow:
    opened, error = entry.opened, entry.error
    engine = row_spec.spec.engine or ("torch" if row_spec.name.startswith(BASELINE) else "onnxruntime")
    energy = entry.energy_per_text(plan)
    row = BenchmarkRow(
        name=row_spec.name,
        engine=f"{opened.engine} {opened.version}" if opened else engine,
        device=opened.device if opened and opened.device != "cpu" else machine.cpu,
        status=error.status if error else RowStatus.UNCHECKED,
        detail=str(error) if error else "",
        bytes=opened.bytes if opened else None,
        latency=entry.latency(plan),
        offline=entry.offline,
        energy_mj=None if energy is None else 1000 * energy,
        throttled=_throttled(entry),
        peak_bytes=entry.peak_bytes,
        cold_start_s=opened.cold_start_s if opened else None,
        cascade=entry.cascade(plan),
    )
    return row if error else _checked(row, row_spec.gate, entry.outputs, eval_data)


def _throttled(entry: RepetitionRun) -> tuple[str, ...]:
    seen = (each for each in (*entry.seen, *entry.seen_offline) if each.throttled)
    return tuple(dict.fromkeys(why for each in seen for why in each.reasons))


def _checked(
    row: BenchmarkRow, gate: GateLimits, outputs: Outputs | None, eval_data: EvaluationData
) -> BenchmarkRow:
    """Fill in how right the answers are; a row that runs and answers wrong says so."""
    task, rows, full = eval_data.task, eval_data.rows, eval_data.full
    if outputs is None or rows is None:
        return row
    if not metrics.fits(task, outputs, len(rows)):
        shape = f"gives {outputs.values.shape[1]} numbers at a time, not {task.num_outputs}"
        return replace(row, status=RowStatus.WRONG, detail=shape)
    if rows.labels is not None:
        row = replace(row, metric=metrics.score(task, outputs, rows.labels))
    if full is None:
        return row
    judgement, evidence = apply_gate(
        PairedAnswers(task, full, outputs, rows.labels, texts.groups(rows)), gate
    )
    status = RowStatus.WRONG if judgement.verdict is GateVerdict.FAIL else RowStatus.OK
    detail = judgement.reason if status is RowStatus.WRONG else row.detail
    return replace(row, agreement=evidence.agreement.mean, status=status, detail=detail)
