"""Masked words: bundles of a model that fills masks beside what a user would run instead.

    python -m benchmarks.fill_mask CHECKPOINT DATA [--eval-data DATA] --bundle int8=out/ [--rounds 3]

``DATA`` are plain texts, as ``edgeroberta compress --task fill-mask --data`` takes them; one word of each
held-out text is masked, and asked for. Batch 1, one thread, from text to token; every contestant lives in its
own environment, and rounds interleave. Writes benchmarks/results/<machine>/fill_mask.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import pipelines, rounds
from benchmarks.pipelines import BASELINE, Comparison, Judged, promise
from benchmarks.results import Check, Row
from edgeroberta.data import Rows
from edgeroberta.tasks import Task

#: Recipe to the accuracy that its bundle may lose, in points: what the recipe's gate allows.
MOST_LOST = {"int8": 1.0, "int8-outliers": 1.0}


def judge(rows: Sequence[Row], timings: Mapping[str, rounds.Timings], heldout: Rows, task: Task) -> Judged:
    """Compare the tokens with those of the data and those of the baseline."""
    gold = [heldout.labels.part(row)[0].tolist()[0] for row in range(len(heldout))]
    full = timings[BASELINE]
    found = []
    for row in rows:
        timing = timings[row.name]
        if timing.error is None:
            update = {"accuracy": rounds.share_equal(timing.answers, gold)}
            if full.error is None:
                update["same_answers"] = rounds.share_equal(timing.answers, full.answers)
            row = row.model_copy(update=update)
        found.append(row)
    return Judged(found, checks(found))


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the bundles to what was promised."""
    return pipelines.held(rows, _lost, faster=3.0, same="texts with the same token")


def _lost(recipe: str, row: Row, full: Row) -> list[Check]:
    if recipe not in MOST_LOST:
        return []
    lost = 100 * ((full.accuracy or 0.0) - (row.accuracy or 0.0))
    return [promise(f"{row.title}: accuracy lost", lost, "at most", MOST_LOST[recipe], "points")]


COMPARISON = Comparison(
    name="fill_mask",
    module="benchmarks.peers.mask_contestants",
    task="fill-mask",
    judge=judge,
    items=lambda rows: rows.texts,
)

if __name__ == "__main__":
    pipelines.main(COMPARISON, __doc__)
