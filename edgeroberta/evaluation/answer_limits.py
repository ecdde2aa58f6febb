"""How long answers are, and when there is none: what of a model that answers questions is fitted on rows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, Task, span_threshold
from edgeroberta.tasks.outputs import END, START, WORD, AnswerSpans
from edgeroberta.tasks.span_search import LONGEST

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows, Splits
    from edgeroberta.progress import Progress
    from edgeroberta.roberta.checkpoint import Checkpoint

#: Rows that tell either, at most.
_ROWS = 2000
#: Validation rows from which on they are enough to fit a number on.
_ENOUGH = 200
#: Share of the answers that are to be found whole; the longest are often whole sentences.
_COVERED = 0.99


def usual(task: Task, rows: Rows, model: Checkpoint) -> Task:
    """Return a task with what the training rows tell of answers without a model's outputs.

    That is how many tokens an answer has at most, where 99 of 100 have more than the usual number; and, where
    some questions have no answer, that none is given where it scores more than the best one. Other tasks stay
    as they are. ``model``: the one whose tokenizer reads the rows.
    """
    task = silent(task, rows)
    lengths = _lengths(rows, model) if task.problem is Problem.SPANS and rows.labels is not None else []
    longest = int(np.ceil(np.quantile(lengths, _COVERED))) if lengths else 0
    return replace(task, max_answer_tokens=longest) if longest > LONGEST else task


def silent(task: Task, rows: Rows) -> Task:
    """Return a task that may have no answer, where one of its questions has none."""
    if not isinstance(rows.labels, AnswerSpans) or (rows.labels.lengths > 0).all():
        return task
    return replace(task, no_answer=0.0)


def fitted(task: Task, data: Splits, model: Checkpoint, *, overlap: int | None, progress: Progress) -> Task:
    """Return a task with the threshold of no answer that is best for a model on rows it is chosen by.

    These are the validation rows; where they are few, or all or none of them have an answer, the training
    rows. A task without such a threshold stays as it is. ``overlap``: tokens that windows overlap by.
    """
    from edgeroberta.measure.torch_baseline import TorchBaseline

    if task.problem is not Problem.SPANS or task.no_answer is None:
        return task
    few = len(data.validation) < _ENOUGH
    parts = (data.train, data.validation) if few else (data.validation, data.train)
    rows = next((each for each in parts if _both(each)), None)
    if rows is None:
        return task
    if len(rows) > _ROWS:
        rows = rows.select(np.sort(np.random.default_rng(0).permutation(len(rows))[:_ROWS]))
    progress.line(f"fitting when there is no answer on {len(rows):,} rows")
    outputs = TorchBaseline(model, overlap=overlap).outputs(rows.inputs())
    return replace(task, no_answer=span_threshold.fit(task, outputs, rows.labels))


def _both(rows: Rows) -> bool:
    if not isinstance(rows.labels, AnswerSpans) or not len(rows.labels):
        return False
    none = rows.labels.lengths == 0
    return bool(none.any() and not none.all())


def _lengths(rows: Rows, model: Checkpoint) -> list[int]:
    """Count the tokens of the first answer of each question that has one, of some rows."""
    labels: AnswerSpans = rows.labels
    chosen = np.flatnonzero(labels.lengths > 0)
    chosen = chosen[:: -(-len(chosen) // _ROWS) or 1]
    rows = rows.select(chosen)
    tokenizer = TextTokenizer.open(model.folder, model.max_length, questions=True)
    found = []
    for row, item in enumerate(zip(rows.texts, rows.pairs or (), strict=True)):
        try:
            encoding = tokenizer.encode_one(item)
        except UsageError:  # of a question that leaves no room: who trains on it is told which row it is
            continue
        start, end = rows.labels.part(row)[0][0].tolist()
        for window in (encoding, *encoding.rest):
            assert window.places is not None
            own = window.places[window.places[:, WORD] >= 0]
            if own[0, START] <= start and end <= own[-1, END]:
                found.append(int(((own[:, END] > start) & (own[:, START] < end)).sum()))
                break
    return found
