"""Questions on a passage: bundles of a model that finds answers beside what a user would run instead.

    python -m benchmarks.question_answering CHECKPOINT DATA [--eval-data DATA] --bundle int8=out/ [--rounds 3]

``DATA`` is what ``edgeroberta compress --data`` takes (SQuAD's JSON, for one); its held-out questions are
asked.
Batch 1, one thread, from question and context to the answer's characters; every contestant lives in its own
environment, and rounds interleave. F1 and exact match are those of SQuAD's own script. Transformers 5 has no
pipeline for questions, so that of 4.57 is taken. Writes benchmarks/results/<machine>/question_answering.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import pipelines, rounds
from benchmarks.pipelines import BASELINE, Comparison, Judged, promise
from benchmarks.results import Check, Row
from edgeroberta.data import Rows
from edgeroberta.tasks import Task
from edgeroberta.tasks.span_scores import squad

#: Recipe to the F1 that its bundle may lose, in points.
MOST_LOST = {"int8": 0.5, "int8-outliers": 0.5}


def judge(rows: Sequence[Row], timings: Mapping[str, rounds.Timings], heldout: Rows, task: Task) -> Judged:
    """Compare the answers with those of the data and those of the baseline."""
    contexts = heldout.pairs or ()
    gold = [
        [context[start:end] for start, end in heldout.labels.part(row)[0].tolist()]
        for row, context in enumerate(contexts)
    ]
    found = scored(rows, timings, contexts, gold)
    return Judged(found, checks(found))


def scored(
    rows: Sequence[Row],
    timings: Mapping[str, rounds.Timings],
    contexts: Sequence[str],
    gold: Sequence[Sequence[str]],
) -> list[Row]:
    """Fill in how right the answers are, and how many are the baseline's very span."""
    full = timings[BASELINE]
    found = []
    for row in rows:
        timing = timings[row.name]
        if timing.error is None:
            said = [
                context[start:end] for context, (start, end) in zip(contexts, timing.answers, strict=True)
            ]
            scores = [squad(text, known) for text, known in zip(said, gold, strict=True)]
            near, right = (sum(each) / len(scores) for each in zip(*scores, strict=True))
            update = {"f1": round(near, 4), "accuracy": round(right, 4)}
            if full.error is None:
                update["same_answers"] = rounds.share_equal(timing.answers, full.answers)
            row = row.model_copy(update=update)
        found.append(row)
    return found


def checks(rows: Sequence[Row]) -> tuple[Check, ...]:
    """Hold the bundles to what was promised."""
    return pipelines.held(rows, _lost, faster=3.0, same="questions with the same span")


def _lost(recipe: str, row: Row, full: Row) -> list[Check]:
    if recipe not in MOST_LOST:
        return []
    lost = 100 * ((full.f1 or 0.0) - (row.f1 or 0.0))
    return [promise(f"{row.title}: F1 lost", lost, "at most", MOST_LOST[recipe], "points")]


COMPARISON = Comparison(
    name="question_answering",
    module="benchmarks.peers.span_contestants",
    task="question-answering",
    judge=judge,
    items=lambda rows: list(zip(rows.texts, rows.pairs or (), strict=True)),
    pipeline="optimum",
)

if __name__ == "__main__":
    pipelines.main(COMPARISON, __doc__)
