"""One table: the stored reference, the full-size model here, and the bundle on each engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeroberta.bench.row import (
    BUNDLE,
    Contender,
    Material,
    Row,
    answered,
    invalidated,
    make_rows,
    reference_row,
    unproven,
    with_speed_up,
)
from edgeroberta.data import texts
from edgeroberta.errors import UnavailableError
from edgeroberta.evaluate import soundness
from edgeroberta.evaluate.report import Gate
from edgeroberta.evaluate.soundness import Soundness
from edgeroberta.hardware import Device, here
from edgeroberta.latency import int8
from edgeroberta.measure import environment
from edgeroberta.measure.environment import Looking
from edgeroberta.measure.process import Measured
from edgeroberta.measure.protocol import Spec, Status
from edgeroberta.measure.rounds import Entry, Plan, answer_all, answer_offline, take_turns
from edgeroberta.measure.validity import Surroundings, Validity, judge_run
from edgeroberta.progress import Progress
from edgeroberta.storage.publishing import name_of

#: 2: rows carry intervals, parts, offline figures and energy; a run carries its surroundings and validity.
SCHEMA_VERSION = 2


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
    """

    rows: tuple[Row, ...]
    plan: Plan
    metric: str
    data: dict[str, Any] | None
    machine: Device
    notes: tuple[str, ...] = ()
    target: str | None = None
    around: Surroundings = field(default_factory=Surroundings)
    validity: Validity = field(default_factory=Validity)

    def to_json(self) -> dict[str, Any]:
        """Return the table as a JSON object."""
        rows = [{**asdict(row), "noisy": row.noisy} for row in self.rows]
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": "edgeroberta-bench",
            **asdict(self),
            "rows": rows,
        }


def compare(
    contenders: Sequence[Contender],
    material: Material,
    plan: Plan,
    *,
    progress: Progress,
    start: Callable[[Spec], Measured],
    look: Looking | None = None,
) -> Comparison:
    """Measure all contenders in turns.

    ``look``: makes what looks at the device during turns; what this machine offers when None. Returns the
    table; a contender that failed is a row of it.
    """
    machine = here()
    before = environment.before(machine)
    entries = [Entry(_label(contender), start(contender.spec)) for contender in contenders]
    lengths = [len(str(each)) for each in material.inputs]
    try:
        look = look or environment.watch_on(machine)
        take_turns(entries, plan, lengths, progress, look)
        answer_offline(entries, plan, lengths, progress, look)
        around = environment.after(before)
        if material.rows is not None:
            answer_all(entries, len(material.rows), progress)
        gains = _gains(contenders, entries, plan, lengths, progress)
    finally:
        for entry in entries:
            entry.worker.close()
    known = answered(contenders, entries, material)
    sound = _examined(contenders, known)
    rows = make_rows(contenders, entries, known, plan, machine)
    rows = rows if sound.meaningless is None else unproven(rows)
    rows = [replace(row, gain=gain) for row, gain in zip(rows, gains, strict=True)]
    throttled = tuple(dict.fromkeys(why for row in rows for why in row.throttled))
    noisy = [entry.name for entry, row in zip(entries, rows, strict=True) if row.noisy]
    # A device that throttled in one turn was hot in the others: no row is worth a claim.
    rows = invalidated(rows) if throttled else with_speed_up(rows)
    if material.reference is not None:
        rows.insert(0, reference_row(material.reference))
    data = None
    if material.rows is not None:
        different = int(texts.groups(material.rows).max()) + 1
        data = {"source": name_of(material.rows.source), "rows": len(material.rows), "texts": different}
    return Comparison(
        tuple(rows),
        plan,
        material.task.metric,
        data,
        machine,
        notes=tuple(f"WARNING: {warning}." for warning in sound.warnings),
        around=around,
        validity=judge_run(around, throttled, noisy, rounds=plan.rounds),
    )


def _gains(
    contenders: Sequence[Contender],
    entries: Sequence[Entry],
    plan: Plan,
    lengths: Sequence[int],
    progress: Progress,
) -> list[int8.Gain | None]:
    """Measure what int8 brings on each engine of the bundle; last, since what fails here is not its fault."""
    ours = [contender.spec for contender in contenders if contender.name == BUNDLE]
    found = int8.measure(entries, Path(ours[0].path), plan, lengths, progress) if ours else {}
    return [
        found.get(str(contender.spec.engine)) if contender.name == BUNDLE else None
        for contender in contenders
    ]


def _examined(contenders: Sequence[Contender], known: Material) -> Soundness:
    """Ask by the full-size model's answers, stored ones or those of just now, what the labels can measure."""
    full, rows = known.full_logits, known.rows
    if full is None or rows is None or full.shape != (len(rows), known.task.num_outputs):
        return Soundness()
    gate = next((each.gate for each in contenders if each.name == BUNDLE), Gate())
    return soundness.examine(known.task, full, rows, gate)


def fastest(comparison: Comparison) -> Row | None:
    """Return the bundle's row with the lowest median of those that the gate did not fail, if there is one."""
    passed = [
        row for row in comparison.rows if row.name == BUNDLE and row.status is Status.OK and row.latency
    ]
    return min(passed, key=lambda row: row.latency.p50_ms if row.latency else 0.0, default=None)


def require_measured(comparison: Comparison, *, where: str = "--engines") -> None:
    """End a command that could measure none of the bundle's engines, after its table has been shown."""
    rows = [row for row in comparison.rows if row.name == BUNDLE]
    if rows and all(row.status is Status.MISSING for row in rows):
        raise UnavailableError(
            f"none of the engines can run here: {', '.join(row.engine for row in rows)}",
            where=where,
            hint="edgeroberta doctor tells what each needs",
        )


def _label(contender: Contender) -> str:
    return f"{contender.name} on {contender.spec.engine}" if contender.spec.engine else contender.name
