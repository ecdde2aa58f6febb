"""One table: the stored reference, the full-size model here, and the bundle on each engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.bench.device import Device, here
from edgeroberta.bench.measure import Latency, speed_up
from edgeroberta.bench.process import Measured
from edgeroberta.bench.protocol import Inputs, Spec, Status
from edgeroberta.bench.rounds import Entry, Plan, answer_all, take_turns
from edgeroberta.data.rows import Rows
from edgeroberta.progress import Progress
from edgeroberta.tasks import Task
from edgeroberta.verification import judge
from edgeroberta.verification.reference import Reference
from edgeroberta.verification.report import Gate, Verdict

SCHEMA_VERSION = 1
#: Names of the rows.
REFERENCE, FULL_SIZE, FLOAT_ONNX, BUNDLE = "reference", "full-size", "full-size, onnx fp32", "bundle"
#: float32 on another machine or engine may flip a row that lies on the edge, not one in a hundred.
SAME_MODEL = Gate(max_drop=0.01, min_agreement=0.99)


@dataclass(frozen=True)
class Contender:
    """A row to measure.

    Attributes:
        name: One of the names above.
        spec: How to open it.
        gate: What its answers may differ by from those of the full-size model before the row is
            called wrong.
    """

    name: str
    spec: Spec
    gate: Gate


@dataclass(frozen=True)
class Row:
    """A row of the table; what could not be measured is None.

    Attributes:
        name: What was measured.
        engine: What it ran on, with its version.
        device: CPU or GPU it ran on.
        status: How it ended.
        detail: What went wrong, if anything.
        bytes: Size of the files it loads.
        metric: The task's metric on the rows of data.
        agreement: Share of rows with the full-size model's answer.
        latency: How long calls took.
        peak_bytes: Peak memory of the process after the timed calls.
        cold_start_s: From before the first import to the first answer.
        speed_up: Times faster than the full-size model here, in the same rounds.
    """

    name: str
    engine: str
    device: str
    status: Status
    detail: str = ""
    bytes: int | None = None
    metric: float | None = None
    agreement: float | None = None
    latency: Latency | None = None
    peak_bytes: int | None = None
    cold_start_s: float | None = None
    speed_up: float | None = None


@dataclass(frozen=True)
class Comparison:
    """The table and what it was measured on.

    Attributes:
        rows: The rows, in the order in which they are shown.
        plan: What the processes were asked.
        metric: Name of the task's metric.
        data: ``source`` and ``rows`` of the data; None when there was none.
        machine: Where this was measured.
        notes: What a reader should know.
    """

    rows: tuple[Row, ...]
    plan: Plan
    metric: str
    data: dict[str, Any] | None
    machine: Device
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, "kind": "edgeroberta-bench", **asdict(self)}


@dataclass(frozen=True, eq=False)
class Material:
    """What rows are measured on and held against.

    Attributes:
        task: What the models answer.
        inputs: Texts or pairs.
        rows: The same with labels; None when there is no data.
        full_logits: The full-size model's answers to the rows, where they are stored.
        reference: The stored reference, shown as a row of its own.
    """

    task: Task
    inputs: Inputs
    rows: Rows | None = None
    full_logits: npt.NDArray[np.float32] | None = None
    reference: Reference | None = None


def compare(
    contenders: Sequence[Contender],
    material: Material,
    plan: Plan,
    *,
    progress: Progress,
    start: Callable[[Spec], Measured],
) -> Comparison:
    """Measure all contenders in turns.

    Args:
        contenders: The rows to measure.
        material: What to measure them on.
        plan: How to measure.
        progress: Where to report.
        start: Makes the process that holds a model.

    Returns:
        The table; a contender that failed is a row of it.
    """
    machine = here()
    entries = [Entry(_label(contender), start(contender.spec)) for contender in contenders]
    try:
        take_turns(entries, plan, [len(str(each)) for each in material.inputs], progress)
        if material.rows is not None:
            answer_all(entries, len(material.rows), progress)
    finally:
        for entry in entries:
            entry.worker.close()
    material = _with_answers(material, contenders, entries)
    pairs = zip(contenders, entries, strict=True)
    rows = [_row(contender, entry, material, plan, machine) for contender, entry in pairs]
    rows = _with_speed_up(rows)
    if material.reference is not None:
        rows.insert(0, reference_row(material.reference))
    data = None if material.rows is None else {"source": material.rows.source, "rows": len(material.rows)}
    return Comparison(tuple(rows), plan, material.task.metric, data, machine)


def reference_row(reference: Reference) -> Row:
    """Show a stored reference as a row; nothing of it was measured now."""
    return Row(
        name=REFERENCE,
        engine=f"torch {reference.machine.versions.get('torch', '')}".strip(),
        device=reference.device,
        status=Status.STORED,
        bytes=reference.bytes,
        metric=reference.metrics[reference.task.metric],
        latency=reference.latency,
    )


def _label(contender: Contender) -> str:
    return f"{contender.name} on {contender.spec.engine}" if contender.spec.engine else contender.name


def _with_answers(material: Material, contenders: Sequence[Contender], entries: Sequence[Entry]) -> Material:
    """Without stored answers for these rows, take those that the full-size model gave just now."""
    if material.full_logits is not None:
        return material
    for contender, entry in zip(contenders, entries, strict=True):
        if contender.name in (FULL_SIZE, FLOAT_ONNX) and entry.logits is not None:
            return replace(material, full_logits=entry.logits)
    return material


def _row(contender: Contender, entry: Entry, material: Material, plan: Plan, machine: Device) -> Row:
    opened, error = entry.opened, entry.error
    engine = contender.spec.engine or ("torch" if contender.name == FULL_SIZE else "onnxruntime")
    row = Row(
        name=contender.name,
        engine=f"{opened.engine} {opened.version}" if opened else engine,
        device=opened.device if opened and opened.device != "cpu" else machine.cpu,
        status=error.status if error else Status.UNCHECKED,
        detail=str(error) if error else "",
        bytes=opened.bytes if opened else None,
        latency=entry.latency(plan),
        peak_bytes=entry.peak_bytes,
        cold_start_s=opened.cold_start_s if opened else None,
    )
    return row if error else _checked(row, contender.gate, entry.logits, material)


def _checked(row: Row, gate: Gate, logits: npt.NDArray[np.float32] | None, material: Material) -> Row:
    """Fill in how right the answers are; a row that runs and answers wrong says so."""
    task, rows, full = material.task, material.rows, material.full_logits
    if logits is None or rows is None:
        return row
    if logits.shape != (len(rows), task.num_outputs):
        shape = f"gives {logits.shape[1]} numbers per text, not {task.num_outputs}"
        return replace(row, status=Status.WRONG, detail=shape)
    if rows.labels is not None:
        row = replace(row, metric=metrics.score(task, logits, rows.labels))
    if full is None:
        return row
    agreement = metrics.agreement(task, full, logits)
    row = replace(row, agreement=agreement, status=Status.OK)
    if rows.labels is not None:
        drop = metrics.paired_bootstrap(task, full, logits, rows.labels, seed=0, confidence=gate.confidence)
        judgement = judge(drop, agreement, gate, rows=len(rows), metric=task.metric)
        if judgement.verdict is Verdict.FAIL:
            return replace(row, status=Status.WRONG, detail=judgement.reason)
    elif agreement < gate.min_agreement:
        detail = f"the same answer on {agreement:.1%} of {len(rows):,} rows"
        return replace(row, status=Status.WRONG, detail=detail)
    return row


def _with_speed_up(rows: list[Row]) -> list[Row]:
    base = next((row.latency for row in rows if row.name == FULL_SIZE and row.latency), None)
    if base is None:
        return rows
    return [replace(row, speed_up=speed_up(base, row.latency)) if row.latency else row for row in rows]
