"""Entities in texts: bundles of a model that labels tokens beside what a user would run instead.

    python -m benchmarks.tokens CHECKPOINT DATA --bundle int8=out/ [--bundle tiny=…] [--rounds 5]

``DATA`` is what ``edgeroberta compress --data`` takes; its held-out rows are asked. Batch 1, one thread, from
the text to its entities; every contestant lives in its own environment, and rounds interleave. An entity is
right when its label and both its ends are. Writes benchmarks/results/<machine>/tokens.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import pipelines, rounds
from benchmarks.pipelines import BASELINE, PEER, Comparison, Judged, promise, times
from benchmarks.results import Check, Row
from edgeroberta.data import Rows
from edgeroberta.tasks import Task
from edgeroberta.tasks.schemes import tag_table

#: Recipe to the F1 that its bundle may lose, in points, and the share of the baseline's that it is to keep.
MOST_LOST, LEAST_KEPT = {"int8": 0.3, "int8-distill": 1.5}, {"tiny": 0.96}

Entity = tuple[str, int, int]


def judge(rows: Sequence[Row], timings: Mapping[str, rounds.Timings], heldout: Rows, task: Task) -> Judged:
    """Compare the entities with those of the data and those of the baseline."""
    types = tag_table(task.labels).types
    gold = [
        [(types[number], start, end) for number, start, end in answer.entities]
        for answer in task.truth(heldout.labels)
    ]
    found = scored(rows, timings, gold)
    return Judged(found, checks(found))


def f1(found: Sequence[Sequence[Entity]], wanted: Sequence[Sequence[Entity]]) -> float:
    """Return the share of right entities among those found and those wanted, as an F1."""
    hits = sum(len(set(ours) & set(theirs)) for ours, theirs in zip(found, wanted, strict=True))
    total = sum(len(set(ours)) + len(set(theirs)) for ours, theirs in zip(found, wanted, strict=True))
    return 2 * hits / total if total else 0.0


def scored(
    rows: Sequence[Row], timings: Mapping[str, rounds.Timings], gold: Sequence[Sequence[Entity]]
) -> list[Row]:
    """Fill in how right the entities are, and on how many texts they are the baseline's."""
    answers = {
        name: [[(label, start, end) for label, start, end in each] for each in timing.answers]
        for name, timing in timings.items()
        if timing.error is None
    }
    full = answers.get(BASELINE)
    found = []
    for row in rows:
        ours = answers.get(row.name)
        if ours is not None:
            row = row.model_copy(update={"f1": round(f1(ours, gold), 4)})
            if full is not None:
                row = row.model_copy(update={"same_answers": rounds.share_equal(ours, full)})
        found.append(row)
    return found


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the bundles to what was promised."""
    by_name = {row.name: row for row in rows if row.status == "ok"}
    full, peer = by_name[BASELINE], by_name.get(PEER)
    found = [promise("entity F1 of the baseline", full.f1 or 0.0, "at least", 0.94)]
    for row in by_name.values():
        recipe = row.name.partition("/")[0]
        lost = 100 * ((full.f1 or 0.0) - (row.f1 or 0.0))
        if recipe in MOST_LOST:
            found.append(promise(f"{row.title}: F1 lost", lost, "at most", MOST_LOST[recipe], "points"))
        if recipe in LEAST_KEPT:
            kept = (row.f1 or 0.0) / (full.f1 or 1.0)
            title = f"{row.title}: share of the baseline's F1"
            found.append(promise(title, kept, "at least", LEAST_KEPT[recipe]))
            faster = times(by_name[f"int8/{row.name.partition('/')[2]}"], row)
            found.append(promise(f"{row.title}: p50 against `int8`", faster, "at least", 2.5, "x"))
        if recipe == "int8":
            found += _of_int8(row, full, peer)
    return tuple(found)


def _of_int8(row: Row, full: Row, peer: Row | None) -> list[Check]:
    same, title = row.same_answers or 0.0, row.title
    found = [
        promise(f"{title}: texts with the same entities", same, "at least", 0.985),
        promise(f"{title}: p50 against transformers' pipeline", times(full, row), "at least", 3.0, "x"),
    ]
    if peer is not None:
        faster, theirs = times(peer, row), peer.f1 or 0.0
        found += [
            promise(f"{title}: p50 against Optimum's dynamic int8", faster, "at least", 1.4, "x"),
            promise(f"{title}: F1, no lower than Optimum's", row.f1 or 0.0, "at least", theirs),
        ]
    return found


COMPARISON = Comparison(
    name="tokens",
    module="benchmarks.peers.token_contestants",
    task="token-classification",
    judge=judge,
    items=lambda rows: rows.texts,
)

if __name__ == "__main__":
    pipelines.main(COMPARISON, __doc__)
