"""How often swapped terms change an answer of either model, and whether compression made it more.

The difference of two paired proportions, as McNemar compares them (1947): texts whose answer changes in both
models or in neither say nothing of it. Its interval is made as those of the gate are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.evaluation import recalls
from edgeroberta.evaluation.changed_rows import ChangedRows, answers_back
from edgeroberta.evaluation.limits import GateLimits
from edgeroberta.evaluation.result import GateVerdict, Judgement, SwapRate
from edgeroberta.figures import interval as interval_text
from edgeroberta.figures import points
from edgeroberta.metrics import BootstrapOptions, Interval
from edgeroberta.tasks import Outputs, Problem, Task
from edgeroberta.tasks.regression import tolerance

_ROUGH = 1000


@dataclass(frozen=True, eq=False)
class SwapFlips:
    """Of each row with a term, whether the answer changes with it."""

    changed: ChangedRows
    full: npt.NDArray[np.bool_]  # bool[m], of the baseline
    ours: npt.NDArray[np.bool_]  # bool[m], of the compressed model
    groups: npt.NDArray[np.int64]  # int64[m], equal for copies of a text

    @property
    def texts(self) -> int:
        """How many different texts there are."""
        return len(np.unique(self.groups))


def same_answer(task: Task, full: Outputs) -> Task:
    """Return a task by which two answers are the same, whichever model gives them.

    ``full``: outputs of the baseline on all rows. Of values it tells by how much they may differ.
    """
    if task.problem is not Problem.REGRESSION or task.tolerance is not None:
        return task
    return replace(task, tolerance=tolerance(task.decide(full)))


def flips(task: Task, changed: ChangedRows, before: Outputs, after: Outputs) -> npt.NDArray[np.bool_]:
    """Tell where one model's answer changes, bool[m].

    ``task``: as :func:`same_answer` makes it. ``before``: outputs of all rows. ``after``: of the changed
    ones.
    """
    answers = task.decide(before[changed.numbers])
    return ~task.kind.agrees(task, answers, answers_back(task, changed, after))


def measure(found: Sequence[SwapFlips], gate: GateLimits, seed: int) -> tuple[SwapRate, ...]:
    """Compare the rates of both models, list by list."""
    return tuple(_measured(each, gate, seed, among=len(found)) for each in found)


def _measured(
    each: SwapFlips,
    gate: GateLimits,
    seed: int,
    *,
    among: int,
    scale: float = 1.0,
    samples: int = metrics.SAMPLES,
) -> SwapRate:
    alone = BootstrapOptions(seed, each.groups, gate.confidence, samples, scale)
    most = None if gate.swaps is None else gate.swaps.max_increase
    increase = metrics.lead_interval(each.ours, each.full, alone)
    if most is not None and increase.mean > most and among > 1:
        # The end that decides a FAIL shares its probability among all lists.
        increase = replace(increase, low=metrics.lead_interval(each.ours, each.full, alone.shared(among)).low)
    return SwapRate(
        name=each.changed.name,
        rows=len(each.changed),
        texts=each.texts,
        guessed=each.changed.guessed,
        baseline=float(each.full.mean()),
        compressed=float(each.ours.mean()),
        only_baseline=int((each.full & ~each.ours).sum()),
        only_compressed=int((each.ours & ~each.full).sum()),
        increase=increase,
        most=most,
        verdict=None if most is None else _verdict(increase, most),
    )


def _verdict(increase: Interval, most: float) -> GateVerdict:
    if increase.low > most:
        return GateVerdict.FAIL
    return GateVerdict.PASS if increase.high <= most else GateVerdict.INCONCLUSIVE


def judge(
    rates: Sequence[SwapRate], found: Sequence[SwapFlips], gate: GateLimits, *, rows: int, seed: int
) -> Judgement | None:
    """Say what the gate says of all lists together: its verdict of the worst, which the reason names.

    ``rows``: how many rows were measured in all. Returns None where it does not bound them.
    """
    bound = [(rate, each) for rate, each in zip(rates, found, strict=True) if rate.verdict is not None]
    if not bound:
        return None
    worst, flipped = min(
        bound, key=lambda pair: (recalls.ORDER.index(pair[0].verdict or GateVerdict.PASS), -_beyond(pair[0]))
    )
    verdict = worst.verdict or GateVerdict.PASS
    reason = told(worst)
    others = [rate.name for rate, _ in bound if rate.verdict is verdict and rate is not worst]
    if others and verdict is not GateVerdict.PASS:
        state = "too many, too" if verdict is GateVerdict.FAIL else "open, too"
        reason += f" ({', '.join(others)}: {state})"
    if verdict is not GateVerdict.INCONCLUSIVE:
        return Judgement(verdict, reason)
    return _open(reason, worst, flipped, gate, rows=rows, seed=seed, among=len(found))


def _open(
    reason: str, worst: SwapRate, found: SwapFlips, gate: GateLimits, *, rows: int, seed: int, among: int
) -> Judgement:
    """Add how many more texts with a term would decide, and how many rows these are in."""

    def decided(scale: float) -> bool:
        again = _measured(found, gate, seed, among=among, scale=scale, samples=_ROUGH)
        return again.verdict is not GateVerdict.INCONCLUSIVE

    needed = metrics.rows_to_decide(decided, worst.texts)
    if needed is None:
        end = "it lies so near to the limit that more texts would hardly decide"
        return Judgement(GateVerdict.INCONCLUSIVE, f"{reason}; {end}")
    total = math.ceil(rows * needed / worst.texts)
    more = f"about {needed - worst.texts:,} more such texts ({needed:,} in all, in about {total:,} rows)"
    end = f"{more} would decide"
    return Judgement(GateVerdict.INCONCLUSIVE, f"{reason}; {end}", total)


def told(rate: SwapRate) -> str:
    """Say in one sentence how often the answer changes."""
    found, copies = rate.increase, "" if rate.texts == rate.rows else f" of {rate.texts:,} texts"
    said = (
        f"swapping {rate.name} changes the answer of {rate.compressed:.1%} of {rate.rows:,} rows{copies}, "
        f"the baseline's of {rate.baseline:.1%}: {interval_text(found.mean, found.low, found.high)} points"
    )
    return said if rate.most is None else f"{said}, the gate allows {points(rate.most)}"


def _beyond(rate: SwapRate) -> float:
    """Return how far the end that decides is beyond the bound."""
    return rate.increase.low if rate.verdict is GateVerdict.FAIL else rate.increase.high
