"""Does a text's answer depend on what shares its batch, or on padding?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.evaluation.result import Invariance
from edgeroberta.measure.clock import spread
from edgeroberta.measure.protocol import Inputs
from edgeroberta.measure.rounds import RepetitionRun
from edgeroberta.tasks import Outputs, Task

#: Texts asked alone, in a batch and padded; 16 of them cover the lengths of most data.
INVARIANCE_ROWS = 16
PADDED = (64, 128, 512)


def check_invariance(entry: RepetitionRun, task: Task, inputs: Inputs) -> Invariance | None:
    """Ask some texts alone, batched and padded, and compare answers, and which tier of a cascade gave them.

    ``entry``: an open process that has answered all texts; a failure is kept in it. ``inputs``: all texts; a
    few are drawn, of lengths distributed as theirs, as many of each tier. Returns what differed, or None when
    the process failed.
    """
    chosen = _drawn([len(str(each)) for each in inputs], entry.outputs)
    ways = ["batched", *(f"padded-{length}" for length in PADDED)]
    found: dict[str, Outputs] = {}
    for way in ["alone", *ways]:
        entry.attempt(_ask_way, entry, chosen, way, found)
    if entry.error is not None:
        return None
    alone = found["alone"]
    changed, delta = np.zeros(len(chosen), dtype=bool), 0.0
    for way in ways:
        # Numbers of two tiers are those of two models.
        same = _same_tier(alone, found[way])
        changed |= ~same | ~metrics.agrees(task, alone, found[way])
        one, other = (task.kind.comparable(each[same].values) for each in (alone, found[way]))
        delta = max(delta, float(np.abs(one - other).max(initial=0.0)))
    return Invariance(len(chosen), tuple(ways), delta, int(changed.sum()))


def _drawn(lengths: Sequence[int], outputs: Outputs | None) -> list[int]:
    """Draw texts for :func:`check_invariance`; ``outputs``: of all texts."""
    if outputs is None or outputs.tiers is None:
        return spread(lengths, INVARIANCE_ROWS)
    drawn: list[int] = []
    for tier in np.unique(outputs.tiers):
        rows: list[int] = np.flatnonzero(outputs.tiers == tier).tolist()
        drawn += [rows[place] for place in spread([lengths[row] for row in rows], INVARIANCE_ROWS)]
    return sorted(drawn)


def _same_tier(one: Outputs, other: Outputs) -> npt.NDArray[np.bool_]:
    """Tell of which texts two outputs are of the same tier, bool [texts]; of all where there are no tiers."""
    if one.tiers is None or other.tiers is None:
        return np.full(len(one), (one.tiers is None) == (other.tiers is None))
    return np.equal(one.tiers, other.tiers)


def _ask_way(entry: RepetitionRun, rows: Sequence[int], way: str, found: dict[str, Outputs]) -> None:
    found[way] = entry.worker.outputs(rows, way=way)
