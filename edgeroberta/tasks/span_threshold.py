"""By how much no answer must score more than the best span, to be the answer: fitted on rows.

As ``find_best_thresh`` of SQuAD 2.0's script does it (https://rajpurkar.github.io/SQuAD-explorer/): of all
places to cut between the rows, in the order of that difference, the one at which the metric is best.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgeroberta.tasks.outputs import AnswerSpans, Outputs
from edgeroberta.tasks.span_reading import found
from edgeroberta.tasks.task import Task

#: Digits that a threshold is told in, and those that tell any float64.
_DIGITS, _ALL_DIGITS = 4, 17


def fit(task: Task, outputs: Outputs, labels: AnswerSpans) -> float:
    """Return the threshold with the best value of the task's metric, see :attr:`.task.Task.no_answer`.

    ``outputs``: of questions, some of which should have no answer in their context, with ``labels``.
    """
    kind, always = task.kind, replace(task, no_answer=None)
    margins = np.empty(len(outputs))
    for row in range(len(outputs)):
        spans = found(always, *outputs.part(row), top=1)
        best = spans.spans[0].score if spans.spans else 0.0
        margins[row] = spans.no_answer - best
    metric, truth = kind.metrics[task.metric], kind.truth(always, labels)
    answered = metric.value(metric.statistics(kind.decide(always, outputs), truth, always))
    silent = np.full(len(outputs), None, dtype=object)
    unanswered = metric.value(metric.statistics(silent, truth, always))
    order = np.argsort(-margins, kind="stable")
    # The value where the first k rows of that order have no answer; the order of equal margins is no cut.
    values = answered.sum() + np.concatenate([[0.0], np.cumsum((unanswered - answered)[order])])
    edges = np.concatenate([[1.0], margins[order], [-1.0]])
    values[np.flatnonzero(edges[1:-2] == edges[2:-1]) + 1] = -np.inf
    cut = int(np.argmax(values))
    return _between(edges[cut + 1], edges[cut])


def _between(low: float, high: float) -> float:
    """Return the middle of two numbers in four digits, or in as many as it takes to stay between them.

    Margins of a model that is sure of itself differ from 1 in the fifth digit and beyond.
    """
    middle = (low + high) / 2
    rounded = (float(f"{middle:.{digits}g}") for digits in range(_DIGITS, _ALL_DIGITS))
    return next((each for each in rounded if low <= each < high), middle)
