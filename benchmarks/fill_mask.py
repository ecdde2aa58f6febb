"""Masked words: bundles of a model that fills masks beside what a user would run instead.

    python -m benchmarks.fill_mask CHECKPOINT DATA [--eval-data DATA] --bundle int8=out/ [--rounds 3]

``DATA`` are plain texts, as ``edgeroberta compress --task fill-mask --data`` takes them; one word of each
held-out text is masked, and asked for. Batch 1, one thread, from text to token; every contestant lives in its
own environment, and rounds interleave. Writes benchmarks/results/<machine>/fill_mask.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import pipelines, rounds
from benchmarks.pipelines import BASELINE, PEER, Comparison, Judged, promise, times
from benchmarks.results import Check, Row
from edgeroberta.data import Rows
from edgeroberta.tasks import Task

#: The share of texts in which a bundle is to write the baseline's very token.
LEAST_SAME = {"int8": 0.97, "int8-outliers": 0.97}


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
    by_name = {row.name: row for row in rows if row.status == "ok"}
    full, peer = by_name[BASELINE], by_name.get(PEER)
    found: list[Check] = []
    for row in by_name.values():
        recipe, title = row.name.partition("/")[0], row.title
        if recipe not in LEAST_SAME:
            continue
        same = row.same_answers or 0.0
        found += [
            promise(f"{title}: texts with the same token", same, "at least", LEAST_SAME[recipe]),
            promise(f"{title}: p50 against transformers' pipeline", times(full, row), "at least", 3.0, "x"),
        ]
        if peer is not None:
            faster = times(peer, row)
            found.append(
                promise(f"{title}: p50 against Optimum's dynamic int8", faster, "at least", 1.0, "x")
            )
    return tuple(found)


COMPARISON = Comparison(
    name="fill_mask",
    module="benchmarks.peers.mask_contestants",
    task="fill-mask",
    judge=judge,
    items=lambda rows: rows.texts,
)

if __name__ == "__main__":
    pipelines.main(COMPARISON, __doc__)
