"""A row of the table: what one model took and how right it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.data import texts
from edgeroberta.data.rows import Rows
from edgeroberta.evaluate.gate import Answers, judge
from edgeroberta.evaluate.reference import Reference
from edgeroberta.evaluate.report import Gate, Verdict
from edgeroberta.hardware import Device
from edgeroberta.latency.int8 import Gain
from edgeroberta.measure.clock import Latency, speed_up
from edgeroberta.measure.offline import Offline
from edgeroberta.measure.protocol import Inputs, Spec, Status
from edgeroberta.measure.rounds import Entry, Plan
from edgeroberta.measure.validity import MOST_SPREAD
from edgeroberta.tasks import Task

#: Names of the rows; the full-size model on a GPU is named with its type besides.
REFERENCE, FULL_SIZE, FLOAT_ONNX, BUNDLE = "reference", "full-size", "full-size, onnx fp32", "bundle"
#: What the names of full-size rows on a GPU begin with; their type follows.
ON_GPU = f"{FULL_SIZE}, cuda "
#: float32 on another machine or engine may flip a row that lies on the edge, not one in a hundred.
SAME_MODEL = Gate(max_drop=0.01, min_agreement=0.99)


@dataclass(frozen=True)
class Contender:
    """A row to measure."""

    name: str  # one of the names above
    spec: Spec  # how to open it
    #: what its answers may differ by from those of the full-size model before the row is called wrong
    gate: Gate


@dataclass(frozen=True)
class Row:
    """A row of the table; what could not be measured is None."""

    name: str  # what was measured
    engine: str  # what it ran on, with its version
    device: str  # CPU or GPU it ran on
    status: Status  # how it ended
    detail: str = ""  # what went wrong, if anything
    bytes: int | None = None  # size of the files it loads
    metric: float | None = None  # the task's metric on the rows of data
    agreement: float | None = None  # share of rows with the full-size model's answer
    latency: Latency | None = None  # how long calls took
    offline: Offline | None = None  # how many texts it answers in a second when all are there
    energy_mj: float | None = None  # millijoules per text over the timed calls, of all the device used
    throttled: tuple[str, ...] = ()  # what says that the device slowed itself down while the row was timed
    peak_bytes: int | None = None  # peak memory of the process after the timed calls
    cold_start_s: float | None = None  # from before the first import to the first answer
    #: times faster than the full-size model here, in the same rounds; see :func:`baseline`
    speed_up: float | None = None
    #: what int8 brings over floats of the same shape on this engine; None for floats and on a GPU
    gain: Gain | None = None

    @property
    def noisy(self) -> bool:
        """True when its rounds were too far apart, or it was measured before it was warm."""
        latency = self.latency
        if latency is None or self.status is Status.STORED:
            return False
        return not latency.steady or (latency.spread or 0.0) > MOST_SPREAD


@dataclass(frozen=True, eq=False)
class Material:
    """What rows are measured on and held against."""

    task: Task  # what the models answer
    inputs: Inputs  # texts or pairs
    rows: Rows | None = None  # the same with labels; None when there is no data
    #: the full-size model's answers to the rows, where they are stored
    full_logits: npt.NDArray[np.float32] | None = None
    reference: Reference | None = None  # the stored reference, shown as a row of its own


def answered(contenders: Sequence[Contender], entries: Sequence[Entry], material: Material) -> Material:
    """Without stored answers for these rows, take those that the full-size model gave just now."""
    if material.full_logits is not None:
        return material
    pairs = zip(contenders, entries, strict=True)
    full = (entry.logits for contender, entry in pairs if contender.name in (FULL_SIZE, FLOAT_ONNX))
    return replace(material, full_logits=next((each for each in full if each is not None), None))


def make_rows(
    contenders: Sequence[Contender],
    entries: Sequence[Entry],
    material: Material,
    plan: Plan,
    machine: Device,
) -> list[Row]:
    """Make the rows of what was measured here, in the order of the contenders, without speed-ups."""
    pairs = zip(contenders, entries, strict=True)
    return [_row(contender, entry, material, plan, machine) for contender, entry in pairs]


def reference_row(reference: Reference) -> Row:
    """Show a stored reference as a row; nothing of it was measured now."""
    version = reference.machine.versions.get("torch", "")
    dtype = "" if reference.dtype == "float32" else reference.dtype
    return Row(
        name=REFERENCE,
        engine=" ".join(filter(None, ("torch", version, dtype))),
        device=reference.device,
        status=Status.STORED,
        bytes=reference.bytes,
        metric=reference.metrics[reference.task.metric],
        latency=reference.latency,
        offline=reference.offline,
        energy_mj=reference.energy_mj,
        throttled=reference.throttled,
    )


def baseline(rows: Sequence[Row], row: Row) -> Row | None:
    """Find the full-size row that a row's speed-up is over.

    Of a row on a GPU, it is the full-size model on that GPU in the type that is fastest there: beside a
    processor's single thread, everything on a GPU would look good. Returns the row; that on the processor
    where the GPU has none, and None where neither ran.
    """
    timed = [each for each in rows if each.latency is not None]
    own = next((each for each in timed if each.name == FULL_SIZE), None)
    if own is not None and row.device == own.device:
        return own
    there = [each for each in timed if each.name.startswith(ON_GPU)]
    return min(there, key=lambda each: each.latency.p50_ms if each.latency else 0.0, default=own)


def with_speed_up(rows: Sequence[Row]) -> list[Row]:
    """Fill in how many times faster each row is than the full-size model in the same rounds."""
    found = []
    for row in rows:
        base = baseline(rows, row)
        if base is not None and base.latency is not None and row.latency is not None:
            row = replace(row, speed_up=speed_up(base.latency, row.latency))
        found.append(row)
    return found


def unproven(rows: Sequence[Row]) -> list[Row]:
    """Mark rows that were checked on labels that mean nothing; what answers wrong stays wrong."""
    return [replace(row, status=Status.UNCHECKED) if row.status is Status.OK else row for row in rows]


def invalidated(rows: Sequence[Row]) -> list[Row]:
    """Mark rows whose times are those of a device that throttled; what answers wrong stays wrong."""
    fine = (Status.OK, Status.UNCHECKED)
    return [replace(row, status=Status.INVALID) if row.status in fine else row for row in rows]


def _row(contender: Contender, entry: Entry, material: Material, plan: Plan, machine: Device) -> Row:
    opened, error = entry.opened, entry.error
    engine = contender.spec.engine or ("torch" if contender.name.startswith(FULL_SIZE) else "onnxruntime")
    energy = entry.energy_per_text(plan)
    row = Row(
        name=contender.name,
        engine=f"{opened.engine} {opened.version}" if opened else engine,
        device=opened.device if opened and opened.device != "cpu" else machine.cpu,
        status=error.status if error else Status.UNCHECKED,
        detail=str(error) if error else "",
        bytes=opened.bytes if opened else None,
        latency=entry.latency(plan),
        offline=entry.offline,
        energy_mj=None if energy is None else 1000 * energy,
        throttled=_throttled(entry),
        peak_bytes=entry.peak_bytes,
        cold_start_s=opened.cold_start_s if opened else None,
    )
    return row if error else _checked(row, contender.gate, entry.logits, material)


def _throttled(entry: Entry) -> tuple[str, ...]:
    seen = (each for each in (*entry.seen, *entry.seen_offline) if each.throttled)
    return tuple(dict.fromkeys(why for each in seen for why in each.reasons))


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
    judgement, evidence = judge(Answers(task, full, logits, rows.labels, texts.groups(rows)), gate)
    status = Status.WRONG if judgement.verdict is Verdict.FAIL else Status.OK
    detail = judgement.reason if status is Status.WRONG else row.detail
    return replace(row, agreement=evidence.agreement.mean, status=status, detail=detail)
