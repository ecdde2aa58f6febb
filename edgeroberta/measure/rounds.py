"""Taking turns: all rows of a table are measured in the same rounds, so that noise falls on all of them.

A shared machine slows down for seconds at a time. Measuring one row after the other would charge that to
whichever row was on. Here every process is opened first, and each round gives each of them a turn on
the same texts, in an order that rotates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgeroberta.measure import offline, tiers
from edgeroberta.measure.clock import CallShape, Latency, TimedCalls, break_down, spread, summarise
from edgeroberta.measure.offline import Throughput
from edgeroberta.measure.process import MeasuredModel, WorkerError
from edgeroberta.measure.protocol import RowStatus, WorkerReady
from edgeroberta.measure.tiers import CascadeUse
from edgeroberta.measure.validity import Monitor, Telemetry, null_monitor
from edgeroberta.measure.warmup import WarmUp, warm_up
from edgeroberta.progress import Progress
from edgeroberta.tasks import Outputs

#: Rows that a process is asked for at once in the accuracy pass. RoBERTa-large takes 0.35 TFLOP for a
#: text of 512 tokens; a core of a small board that does 20 GFLOP/s needs 18 s for it, so that 100 of
#: the longest texts just fit into ``process.TIMEOUT``.
BLOCK = 100


#: Calls of a turn that are made again when the device has a clock of its own, and through all tiers of a
#: cascade.
DEVICE_CALLS = THROUGH_CALLS = 20


@dataclass(frozen=True)
class RepetitionPlan:
    """What each process is asked in its turns."""

    rounds: int = 5  # how many turns each gets; of none it is opened alone
    calls: int = 100  # calls in a turn, at most
    repetition_seconds: float = 10.0  # a turn ends early after this long; slow models get fewer calls
    #: calls in a window of the warm-up, see ``warmup``. They include the longest inputs, so that an engine
    #: that prepares lengths when it first meets them has done so.
    warmup: int = 20
    batch: int = 1  # texts per call
    tokens: tuple[int, ...] | None = None  # lengths to draw random ids of; None for the texts of the data
    threads: int = 1  # threads the engines were given; recorded with the numbers
    seed: int = 0  # seed of the random ids of a fixed shape

    @property
    def shape(self) -> CallShape:
        """What a call is given."""
        tokens = set(self.tokens or ())
        return CallShape(
            warmup=self.warmup,
            batch=self.batch,
            length=tokens.pop() if len(tokens) == 1 else None,
            tokenized=self.tokens is None,
            threads=self.threads,
        )


@dataclass
class RepetitionRun:
    """One process and what is known of it so far; the first failure ends its turns, not the others'."""

    name: str  # name of the row
    worker: MeasuredModel  # the process
    opened: WorkerReady | None = None  # what it said when it opened
    warmed: WarmUp | None = None  # how its warm-up went
    rounds: list[TimedCalls] = field(default_factory=list)  # times of each call, per round
    #: calls timed by the device's own clock, per round; none where it has none
    device_rounds: list[TimedCalls] = field(default_factory=list)
    #: calls through all tiers of a cascade, per round; none of other models
    through_rounds: list[TimedCalls] = field(default_factory=list)
    seen: list[Telemetry] = field(default_factory=list)  # what the device did in each of its turns
    offline: Throughput | None = None  # how many texts it answers in a second when all are there
    seen_offline: list[Telemetry] = field(default_factory=list)  # what the device did while that was timed
    peak_bytes: int | None = None  # peak memory after the timed calls
    outputs: Outputs | None = None  # what it gave for all rows in the accuracy pass
    error: WorkerError | None = None  # how it failed
    way: str = "batched"  # how it answers in the accuracy pass, see :mod:`edgeroberta.measure.worker`

    def attempt(self, step: Callable[..., None], *arguments: Any) -> None:
        """Call one step unless an earlier one failed; keep the failure of this one."""
        if self.error is not None:
            return
        try:
            step(*arguments)
        except WorkerError as error:
            self.error = error
            self.worker.close()

    def latency(self, plan: RepetitionPlan) -> Latency | None:
        """Sum up the turns it had; None when it never had one."""
        if not any(calls.seconds for calls in self.rounds):
            return None
        shape = plan.shape
        if self.warmed is not None:
            shape = replace(shape, warmup=self.warmed.calls, steady=self.warmed.steady)
        found = summarise([calls.seconds for calls in self.rounds], shape)
        return replace(found, breakdown=break_down(self.rounds, self.device_rounds, plan.batch))

    def cascade(self, plan: RepetitionPlan) -> CascadeUse | None:
        """Sum up what its tiers did; None where it has none, or was never timed with texts."""
        if self.opened is None or not self.opened.tiers or not self.through_rounds:
            return None
        single = self.rounds if plan.batch == 1 else ()
        return tiers.sum_up(self.opened.tiers, single, self.through_rounds, self.outputs)

    def energy_per_text(self, plan: RepetitionPlan) -> float | None:
        """Return joules per text over all turns; None when a turn's energy is not known."""
        joules = [seen.energy_j for seen in self.seen]
        texts = sum(len(calls.seconds) for calls in self.rounds) * plan.batch
        if not texts or len(joules) < len(self.rounds):
            return None
        known = [energy for energy in joules if energy is not None]
        return sum(known) / texts if len(known) == len(joules) else None


def run_interleaved(
    runs: Sequence[RepetitionRun],
    plan: RepetitionPlan,
    lengths: Sequence[int],
    progress: Progress,
    look: Callable[[str], Monitor] = null_monitor,
) -> None:
    """Open every process and time it in turns; results go into the entries."""
    with progress.bar("open", len(runs), "processes") as advance:
        for entry in runs:
            entry.attempt(_open, entry, plan, lengths)
            advance(1, entry.name)
    if plan.rounds:
        _take_turns(runs, plan, lengths, progress, look)
    for entry in runs:
        entry.attempt(_peak, entry)


def _take_turns(
    runs: Sequence[RepetitionRun],
    plan: RepetitionPlan,
    lengths: Sequence[int],
    progress: Progress,
    look: Callable[[str], Monitor],
) -> None:
    with progress.bar("measure", plan.rounds * len(runs), "turns") as advance:
        for repetition in range(plan.rounds):
            shift = repetition % max(1, len(runs))
            for entry in [*runs[shift:], *runs[:shift]]:
                entry.attempt(_turn, entry, plan, lengths, repetition, look)
                advance(1, entry.name)


def answer_all(runs: Sequence[RepetitionRun], rows: int, progress: Progress) -> None:
    """Let every process answer all rows, one process after the other; outputs go into the entries.

    The rows are asked for in blocks, so that a process that is slow is told from one that hangs.
    """
    with progress.bar("answer", rows * len(runs), "rows") as advance:
        for entry in runs:
            blocks: list[Outputs] = []
            for start in range(0, rows, BLOCK):
                block = range(start, min(start + BLOCK, rows))
                entry.attempt(_answer, entry, block, blocks)
                advance(len(block), entry.name)
            if entry.error is None:
                entry.outputs = Outputs.concatenate(blocks)


def answer_offline(
    runs: Sequence[RepetitionRun],
    plan: RepetitionPlan,
    lengths: Sequence[int],
    progress: Progress,
    look: Callable[[str], Monitor] = null_monitor,
) -> None:
    """Time every process with each batch size, in turns; the best goes into the entries."""
    timed: dict[int, list[offline.BatchTiming]] = {index: [] for index in range(len(runs))}
    with progress.bar("offline", len(offline.BATCHES) * len(runs), "turns") as advance:
        for size in offline.BATCHES:
            for index, entry in enumerate(runs):
                looking = look(entry.opened.device if entry.opened else "cpu")
                with looking:
                    entry.attempt(_offline, entry, plan, lengths, size, timed[index])
                entry.seen_offline.append(looking.watched)
                advance(1, entry.name)
    for index, entry in enumerate(runs):
        if entry.error is None:
            entry.offline = offline.best(timed[index])


def groups(lengths: Sequence[int], plan: RepetitionPlan, repetition: int) -> list[list[int]]:
    """Choose the rows of one turn: the same for every process, other rows each turn where there are any.

    ``plan``: how many calls and texts per call. Returns row numbers, one list per call. Their lengths are
    distributed as those of all rows; rows come again when there are fewer than a turn needs.
    """
    needed = plan.calls * plan.batch
    pool = spread(lengths, min(len(lengths), needed * plan.rounds))
    order = [pool[index] for index in np.random.default_rng([plan.seed, 1]).permutation(len(pool))]
    chosen = [order[(repetition * needed + offset) % len(order)] for offset in range(needed)]
    return [chosen[at : at + plan.batch] for at in range(0, needed, plan.batch)]


def warmup_groups(lengths: Sequence[int], plan: RepetitionPlan) -> list[list[int]]:
    """Choose the rows to warm up on: half of them the longest, half spread over all lengths."""
    longest = sorted(range(len(lengths)), key=lambda row: -lengths[row])[: plan.warmup // 2]
    rows = [*spread(lengths, plan.warmup - len(longest)), *longest]
    return [
        [rows[(call + offset) % len(rows)] for offset in range(plan.batch)] for call in range(plan.warmup)
    ]


def _open(entry: RepetitionRun, plan: RepetitionPlan, lengths: Sequence[int]) -> None:
    entry.opened = entry.worker.open()
    if not plan.rounds:
        return

    def window() -> list[float]:
        if plan.tokens is None:
            return entry.worker.time(warmup_groups(lengths, plan), limit_s=plan.repetition_seconds).seconds
        longest = sorted(plan.tokens)[-plan.warmup :]
        drawn = [longest[call % len(longest)] for call in range(plan.warmup)]
        timed = entry.worker.time_ids(
            drawn, batch=plan.batch, seed=plan.seed, limit_s=plan.repetition_seconds
        )
        return timed.seconds

    if entry.opened.tiers and plan.tokens is None:
        # An engine may prepare a length when a tier first meets it, and the last tier sees few texts.
        warmed = warmup_groups(lengths, plan)
        entry.worker.time(warmed, limit_s=plan.repetition_seconds, through=True)
    entry.warmed = warm_up(window)


def _turn(
    entry: RepetitionRun,
    plan: RepetitionPlan,
    lengths: Sequence[int],
    repetition: int,
    look: Callable[[str], Monitor],
) -> None:
    looking = look(entry.opened.device if entry.opened else "cpu")
    with looking:
        calls = _time(entry, plan, lengths, repetition)
    entry.rounds.append(calls)
    entry.seen.append(looking.watched)
    if entry.opened is not None and entry.opened.device_clock:
        fewer = replace(plan, calls=min(plan.calls, DEVICE_CALLS))
        entry.device_rounds.append(_time(entry, fewer, lengths, repetition, device=True))
    if entry.opened is not None and entry.opened.tiers and plan.tokens is None:
        fewer = replace(plan, calls=min(plan.calls, THROUGH_CALLS))
        entry.through_rounds.append(_time(entry, fewer, lengths, repetition, through=True))


def _time(
    entry: RepetitionRun,
    plan: RepetitionPlan,
    lengths: Sequence[int],
    repetition: int,
    *,
    device: bool = False,
    through: bool = False,
) -> TimedCalls:
    if plan.tokens is None:
        chosen = groups(lengths, plan, repetition)
        limit = plan.repetition_seconds
        return entry.worker.time(chosen, limit_s=limit, device=device, through=through)
    rng = np.random.default_rng([plan.seed, repetition])
    drawn = [int(length) for length in rng.choice(plan.tokens, plan.calls)]
    return entry.worker.time_ids(
        drawn, batch=plan.batch, seed=plan.seed + repetition, limit_s=plan.repetition_seconds, device=device
    )


def _offline(
    entry: RepetitionRun,
    plan: RepetitionPlan,
    lengths: Sequence[int],
    size: int,
    timed: list[offline.BatchTiming],
) -> None:
    if plan.tokens is None:
        calls = offline.batches(spread(lengths, offline.TEXTS), lengths, size)
        found = entry.worker.time(calls, limit_s=offline.SECONDS)
        timed.append(offline.BatchTiming(size, tuple(map(len, calls)), tuple(found.seconds)))
        return
    rng = np.random.default_rng([plan.seed, 2])
    drawn = [int(length) for length in rng.choice(plan.tokens, -(-offline.TEXTS // size))]
    found = entry.worker.time_ids(drawn, batch=size, seed=plan.seed, limit_s=offline.SECONDS)
    timed.append(offline.BatchTiming(size, (size,) * len(drawn), tuple(found.seconds)))


def _peak(entry: RepetitionRun) -> None:
    entry.peak_bytes = entry.worker.memory()


def _answer(entry: RepetitionRun, rows: range, blocks: list[Outputs]) -> None:
    outputs = entry.worker.outputs(rows, way=entry.way)
    if len(broken := outputs.broken()):
        raise WorkerError(RowStatus.WRONG, f"its logits are not finite, first for row {rows[broken[0]]}")
    blocks.append(outputs)
