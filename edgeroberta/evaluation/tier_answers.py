"""What the tiers of a cascade say, each by itself, of the rows for its thresholds; and how fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import cascade
from edgeroberta.cascade import CascadeChoice
from edgeroberta.data import Rows, Splits, texts
from edgeroberta.measure import mask_answers, subjects
from edgeroberta.measure.process import MeasuredModel, Worker
from edgeroberta.measure.protocol import SubjectSpec
from edgeroberta.measure.rounds import RepetitionPlan, RepetitionRun, answer_all, run_interleaved
from edgeroberta.progress import Progress
from edgeroberta.roberta import token_table
from edgeroberta.runtime import manifest
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.longtexts import LongText
from edgeroberta.runtime.session import ENGINES, choose_engine, installed
from edgeroberta.tasks import Outputs, Task

Start = Callable[[SubjectSpec], MeasuredModel]

#: Turns in which the tiers are timed.
ROUNDS = 5


@dataclass(frozen=True, eq=False)
class TierOutputs:
    """What one tier says."""

    validation: Outputs  # of the validation rows
    fresh: Outputs  # of the fresh rows
    seconds: float  # mean time of a text, all tiers timed in turns
    #: bool[rows], whether it takes a text in the cascade; longer ones it passes on. None where it takes all
    takes_validation: npt.NDArray[np.bool_] | None = None
    takes_fresh: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, eq=False)
class TierAnswers:
    """What all tiers say, by their names, in the order in which they are asked."""

    engine: str  # what it was asked on
    tiers: Mapping[str, TierOutputs]
    elsewhere: Mapping[
        str, Mapping[str, Outputs]
    ]  # of the fresh rows on the other engines, by engine and tier


def ask(
    drafts: Mapping[str, Path],
    data: Splits,
    *,
    engine: str | None,
    threads: int,
    calls: int,
    seed: int,
    progress: Progress,
    start: Start = Worker,
) -> TierAnswers:
    """Ask every tier about the validation and the fresh rows.

    ``drafts``: bundles without a verdict, by the names of the tiers, the last one last. ``engine``: the one
    that counts; None for the first that all were built for and that runs here. ``calls``: texts timed in each
    turn. Raises UnavailableError: the engine is not here; WorkerError: a tier fails.
    """
    if data.fresh is None:
        raise ValueError("no rows were set aside for thresholds")
    built = [manifest.read(folder).engines for folder in drafts.values()]
    common = [name for name in built[-1] if all(name in each for each in built)]
    chosen = choose_engine(engine, common)
    parts = (data.validation, data.fresh)
    first = _asked(drafts, chosen, parts, threads, start, progress, calls=calls, seed=seed)
    split = len(data.validation)
    taken = _taken(drafts, parts)
    others = {
        name: _asked(drafts, name, (data.fresh,), threads, start, progress)
        for name in common
        if name != chosen and installed(name) and not ENGINES[name].on_device
    }
    return TierAnswers(
        chosen,
        {
            name: TierOutputs(found[:split], found[split:], seconds, *taken.get(name, ()))
            for name, (found, seconds) in first.items()
        },
        {engine: {name: found for name, (found, _) in each.items()} for engine, each in others.items()},
    )


def _asked(
    drafts: Mapping[str, Path],
    engine: str,
    parts: Sequence[Rows],
    threads: int,
    start: Start,
    progress: Progress,
    *,
    calls: int = 0,
    seed: int = 0,
) -> dict[str, tuple[Outputs, float]]:
    """Return what each tier says of rows on an engine, and its mean seconds for a text; 0 without calls."""
    inputs: Any = [text for part in parts for text in part.inputs()]
    found = [mask_answers.targets_of(part.labels) for part in parts]
    targets = None if None in found else [each for part in found for each in part or ()]
    runs = []
    for name, folder in drafts.items():
        (spec,) = subjects.bundle_specs(folder, inputs, engines=(engine,), threads=threads)
        way = "batched" if targets is None else "asked"
        runs.append(RepetitionRun(name, start(replace(spec, targets=targets)), way=way))
    plan = RepetitionPlan(rounds=ROUNDS if calls else 0, calls=calls, threads=threads, seed=seed)
    try:
        run_interleaved(runs, plan, [len(str(each)) for each in inputs], progress)
        answer_all(runs, len(inputs), progress)
    finally:
        for run in runs:
            run.worker.close()
    for run in runs:
        if run.error is not None:
            raise run.error
    return {run.name: (_outputs(run), _mean_seconds(run)) for run in runs}


def _taken(drafts: Mapping[str, Path], parts: Sequence[Rows]) -> dict[str, list[npt.NDArray[np.bool_]]]:
    """Tell which rows a tier takes, bool[rows] of each part, by the names of those that may not take all.

    Asked alone, a tier cuts a text off that in a cascade it passes on: one that is longer than it takes,
    where the last tier reads more of it. See :class:`edgeroberta.runtime.tier_reading.TierReader`.
    """
    *first, (_, end) = drafts.items()
    last, inputs = manifest.read(end), [part.inputs() for part in parts]
    found = {}
    for name, folder in first:
        own = manifest.read(folder)
        same = own.max_length == last.max_length
        if same and (last.long_text is LongText.WINDOWS or token_table.same_tokenizer(folder, end)):
            continue
        mine, whole = (
            reader(each.task).open(
                each.folder, each.max_length, pair=each.task.pair, separator=each.separator_id
            )
            for each in (own, last)
        )
        found[name] = [
            np.array(
                [
                    not one.truncated or (full.truncated and len(full.ids) <= own.max_length)
                    for one, full in zip(mine.truncated(rows), whole.truncated(rows), strict=True)
                ]
            )
            for rows in inputs
        ]
    return found


def _outputs(run: RepetitionRun) -> Outputs:
    assert run.outputs is not None  # there was no error
    return run.outputs


def _mean_seconds(run: RepetitionRun) -> float:
    """Return the mean time of a text, in the turn in which other programs disturbed it least."""
    return min((float(np.mean(calls.seconds)) for calls in run.rounds if calls.seconds), default=0.0)


def on_engines(asked: TierAnswers, choice: CascadeChoice, task: Task, data: Splits) -> dict[str, Any]:
    """Tell what the thresholds come to on every engine, on the fresh rows, each text counted once.

    Returns by engine ``agreement``, the share of texts with the last tier's answer on that engine, and
    ``shares``, the part that each tier answers.
    """
    if data.fresh is None:
        raise ValueError("no rows were set aside for thresholds")
    _, once = np.unique(texts.groups(data.fresh), return_index=True)
    tiers = [asked.tiers[tier.name] for tier in choice.tiers]
    task = cascade.with_tolerance(task, tiers[-1].validation)
    takes = [None if tier.takes_fresh is None else tier.takes_fresh[once] for tier in tiers[:-1]]
    by_engine = {asked.engine: {name: each.fresh for name, each in asked.tiers.items()}, **asked.elsewhere}
    found = {}
    for engine, outputs in by_engine.items():
        point = cascade.measure(task, choice, [outputs[tier.name][once] for tier in choice.tiers], takes)
        shares = {tier.name: share for tier, share in zip(choice.tiers, point.shares, strict=True)}
        found[engine] = {"agreement": point.agreement, "shares": shares}
    return found
