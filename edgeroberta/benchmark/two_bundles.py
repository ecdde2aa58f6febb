"""Two bundles beside each other on the same rows: what they answer, how fast, how large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.benchmark import evaluation_data, label_order
from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.run import judged
from edgeroberta.data import texts
from edgeroberta.data.rows import Rows
from edgeroberta.errors import UsageError
from edgeroberta.evaluation.provenance import REPORT_FILE
from edgeroberta.hardware import MachineFacts, machine_facts
from edgeroberta.measure.clock import Latency, speed_up
from edgeroberta.measure.process import MeasuredModel, Worker
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.measure.subjects import bundle_specs
from edgeroberta.measure.validity import MOST_SPREAD
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.progress import Progress
from edgeroberta.runtime import manifest, session
from edgeroberta.runtime.manifest import Manifest
from edgeroberta.storage import artifact, jsontext
from edgeroberta.storage.publishing import name_of
from edgeroberta.tasks import Outputs, Task

SCHEMA_VERSION = 1
#: Rows with other answers that are told, those first of which the models are surest.
SHOWN = 20


@dataclass(frozen=True)
class CompareRequest:
    """What is compared, on which rows; see :class:`BenchRequest` for the fields of the same names."""

    first: Path
    second: Path
    rows: BenchRequest  # of the first bundle: the rows, the metric, and how calls are made
    engine: str | None = None  # that both run on; None for the first of each that is installed
    keep_examples: bool = False  # whether texts of rows that differ are kept


@dataclass(frozen=True)
class ComparedBundle:
    """What one of them takes; what could not be measured is None."""

    name: str  # what it is called: its folder's name, or the Hub's
    engine: str  # with its version
    metric: float | None = None  # the task's, on the rows
    bytes: int | None = None  # of the files that it loads
    folder_bytes: int = 0  # of all its files
    latency: Latency | None = None
    peak_bytes: int | None = None  # memory of its process after the timed calls
    cold_start_s: float | None = None  # from before the first import to the first answer
    error: str | None = None  # how it failed

    @property
    def noisy(self) -> bool:
        """True when its rounds were too far apart, or it was measured before it was warm."""
        latency = self.latency
        return latency is not None and (not latency.steady or (latency.spread or 0.0) > MOST_SPREAD)


@dataclass(frozen=True)
class DifferingRow:
    """A row with another answer; ``text`` and ``pair`` are None unless texts are to be kept."""

    row: int  # its number among the rows that were compared, from 0
    text: str | None
    pair: str | None
    truth: str | None  # None without labels
    first: str
    second: str


@dataclass(frozen=True)
class BundleComparison:
    """Both bundles, and how the second stands to the first."""

    first: ComparedBundle
    second: ComparedBundle
    metric: str  # name of the task's metric
    rows: int  # rows that both answered
    source: str  # where the rows are from
    texts: int  # how many different texts they have
    machine: MachineFacts
    agreement: Interval | None = None  # share of rows with the same answer
    difference: Interval | None = None  # the second's metric less the first's, of the same rows
    differing: int = 0  # rows with another answer
    examples: tuple[DifferingRow, ...] = ()  # some of them
    speed_up: float | None = None  # how many times faster the second is, by medians
    mean_speed_up: float | None = None  # the same by means
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as a JSON object."""
        return {"schema_version": SCHEMA_VERSION, "kind": "edgeroberta-compare", **asdict(self)}


def compare(
    request: CompareRequest,
    *,
    progress: Progress,
    start: Callable[[SubjectSpec], MeasuredModel] = Worker,
) -> BundleComparison:
    """Let two bundles answer the same rows and take turns in being timed.

    Raises UsageError: they are of other tasks or labels, there are no rows, or an engine that only one has;
    BundleError: one is none, or damaged.
    """
    facts, other = manifest.read(request.first), manifest.read(request.second)
    reorder = label_order.reordering(facts, other)
    notes: list[str] = []
    data = evaluation_data.find(request.rows, facts, notes)
    rows = data.rows
    if rows is None:
        why = notes[-1].removeprefix("No data: ").rstrip(".") if notes else "there are none"
        raise UsageError(f"no rows to compare on: {why}", where="--data", hint="name them: --data FILE")
    data = replace(data, task=judged(request.rows, data))
    specs = [_spec(each, data.inputs, request) for each in (facts, other)]
    plan = RepetitionPlan(rounds=request.rows.rounds, batch=request.rows.batch, threads=request.rows.threads)
    runs = [RepetitionRun(name, start(spec)) for name, spec in zip(_names(request), specs, strict=True)]
    try:
        run_interleaved(runs, plan, [len(str(each)) for each in data.inputs], progress)
        answer_all(runs, len(rows), progress)
    finally:
        for each in runs:
            each.worker.close()
    if runs[1].outputs is not None:
        runs[1].outputs = reorder(runs[1].outputs)
    # When none is the answer to a question is a setting of each bundle.
    tasks = (data.task, replace(data.task, no_answer=other.task.no_answer))
    sides = [_side(*each, plan, rows) for each in zip(runs, specs, tasks, strict=True)]
    notes = _notes(request, other, rows, sides)  # those of the data are of a baseline, which nobody asks here
    found = BundleComparison(
        sides[0], sides[1], data.task.metric, len(rows), name_of(rows.source),
        int(texts.groups(rows).max()) + 1, machine_facts(), notes=tuple(notes),
    )  # fmt: skip
    return _beside(found, runs, tasks, rows, keep_examples=request.keep_examples)


def _spec(facts: Manifest, inputs: Any, request: CompareRequest) -> SubjectSpec:
    engine = request.engine
    if engine is None:
        engine = next((name for name in facts.engines if session.installed(name)), facts.engines[0])
    (spec,) = bundle_specs(facts.folder, inputs, engines=(engine,), threads=request.rows.threads)
    return spec


def _names(request: CompareRequest) -> tuple[str, str]:
    """Name both, as far as needed to tell them apart."""
    first, second = (manifest.called(path) for path in (request.first, request.second))
    if first != second:
        return first, second
    return str(request.first), str(request.second)


def _side(
    run: RepetitionRun, spec: SubjectSpec, task: Task, plan: RepetitionPlan, rows: Rows
) -> ComparedBundle:
    opened, metric = run.opened, None
    if run.outputs is not None and rows.labels is not None:
        metric = metrics.score(task, run.outputs, rows.labels)
    return ComparedBundle(
        name=run.name,
        engine=f"{opened.engine} {opened.version}" if opened else str(spec.engine),
        metric=metric,
        bytes=opened.bytes if opened else None,
        folder_bytes=artifact.tree_bytes(Path(spec.path)),
        latency=run.latency(plan),
        peak_bytes=run.peak_bytes,
        cold_start_s=opened.cold_start_s if opened else None,
        error=None if run.error is None else str(run.error),
    )


def _notes(
    request: CompareRequest, other: Manifest, rows: Rows, sides: Sequence[ComparedBundle]
) -> list[str]:
    """Say what a reader should know of the rows and the times."""
    found = []
    judged_on = _judged_on(other)
    if request.rows.data is None and judged_on is not None and judged_on != _judged_on_first(request):
        found.append(
            f"{sides[1].name} was judged on other rows: some of these may be among those it learned from."
        )
    found += [
        f"The times of {each.name} varied too much to rely on; measure again on an idle machine."
        for each in sides
        if each.noisy
    ]
    return found


def _judged_on_first(request: CompareRequest) -> str | None:
    return _judged_on(manifest.read(request.first))


def _judged_on(facts: Manifest) -> str | None:
    """Return the digest of the rows that a bundle was judged on, as its report says."""
    try:
        digest = jsontext.loads((facts.folder / REPORT_FILE).read_bytes(), finite=False)["data"]["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return str(digest)


def _beside(
    found: BundleComparison,
    runs: Sequence[RepetitionRun],
    tasks: tuple[Task, Task],
    rows: Rows,
    *,
    keep_examples: bool,
) -> BundleComparison:
    """Fill in how the second stands to the first, as far as both were measured."""
    first, second = found.first.latency, found.second.latency
    if first is not None and second is not None:
        found = replace(
            found,
            speed_up=speed_up(first, second),
            mean_speed_up=speed_up(first, second, figure="mean"),
        )
    if runs[0].outputs is None or runs[1].outputs is None:
        return found
    outputs = (runs[0].outputs, runs[1].outputs)
    task = tasks[0]
    answers = [
        each.decide(metrics.checked(each, given, len(rows)))
        for each, given in zip(tasks, outputs, strict=True)
    ]
    same = task.kind.agrees(task, answers[0], answers[1])
    how = BootstrapOptions(groups=texts.groups(rows))
    difference = None
    if rows.labels is not None:
        drop = metrics.drop_of_answers(
            task, answers[0], answers[1], task.truth(rows.labels), how, metric=None
        )
        difference = Interval(-drop.mean, -drop.high, -drop.low)
    return replace(
        found,
        agreement=metrics.share_interval(same, how),
        difference=difference,
        differing=int(np.count_nonzero(~same)),
        examples=_examples(rows, task, outputs, answers, ~same, texts_kept=keep_examples),
    )


def _examples(
    rows: Rows,
    task: Task,
    outputs: tuple[Outputs, Outputs],
    answers: Sequence[npt.NDArray[Any]],
    differs: npt.NDArray[np.bool_],
    *,
    texts_kept: bool,
) -> tuple[DifferingRow, ...]:
    """Choose rows with other answers, first those of which the models are surest."""
    numbers = np.flatnonzero(differs)
    sureness = task.kind.sureness(task, outputs[0][numbers], outputs[1][numbers])
    inputs, truth = rows.inputs(), None if rows.labels is None else task.truth(rows.labels)
    shown = []
    for row in numbers[np.argsort(-sureness, kind="stable")][:SHOWN]:
        asked = inputs[row] if texts_kept else None
        named = [task.kind.named(task, each[row], asked) for each in answers]
        shown.append(
            DifferingRow(
                row=int(row),
                text=rows.texts[row] if texts_kept else None,
                pair=rows.pairs[row] if texts_kept and rows.pairs is not None else None,
                truth=None if truth is None else task.kind.named(task, truth[row], asked),
                first=named[0],
                second=named[1],
            )
        )
    return tuple(shown)
