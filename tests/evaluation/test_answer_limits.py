from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from asked import SPANS, question_rows

from edgeroberta import metrics
from edgeroberta.data import Splits
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation import answer_limits
from edgeroberta.measure.torch_baseline import TorchBaseline
from edgeroberta.progress import Progress
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import AnswerSpans


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint):
    return Checkpoint(make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering"))


def fitted(task, train, validation, checkpoint):
    splits = Splits(train, validation, validation, None, task.labels)
    return answer_limits.fitted(task, splits, checkpoint, overlap=16, progress=Progress())


def test_rows_tell_whether_some_questions_have_no_answer(checkpoint):
    assert answer_limits.usual(SPANS, question_rows(20, 0), checkpoint) == SPANS
    found = answer_limits.usual(SPANS, question_rows(20, 0, unanswerable=0.5), checkpoint)
    assert found == replace(SPANS, no_answer=0.0)
    other = Task(Problem.SINGLE_LABEL, ("a", "b"))
    assert (
        answer_limits.usual(other, question_rows(4, 0, unanswerable=0.5), checkpoint).problem == other.problem
    )


def test_answers_may_be_as_long_as_those_of_the_training_rows(checkpoint):
    context = "the film was seen by many and the music of it was great " * 4
    values = np.array([[4, 8], [0, 150]] * 10, np.int64)
    labels = AnswerSpans(values, np.arange(21), None, (context,) * 20, (context,) * 20)
    rows = Rows(("how?",) * 20, (context,) * 20, labels, "x")
    found = answer_limits.usual(SPANS, rows, checkpoint).max_answer_tokens
    assert found > 30
    assert found < 150


def test_a_question_without_room_for_its_context_is_left_to_the_check_that_names_its_row(checkpoint):
    rows = question_rows(20, 0)
    long = replace(rows, texts=("why was it so " * 200, *rows.texts[1:]))
    assert answer_limits.usual(SPANS, long, checkpoint) == SPANS


def test_a_threshold_is_fitted_where_a_question_may_have_no_answer(checkpoint):
    rows = question_rows(60, 0, unanswerable=0.5)
    assert fitted(SPANS, rows, rows, checkpoint) == SPANS
    task = replace(SPANS, no_answer=0.0)
    found = fitted(task, rows, rows, checkpoint)
    outputs = TorchBaseline(checkpoint, overlap=16).outputs(rows.inputs())
    ways = (replace(SPANS, no_answer=each) for each in (None, 0.0, 0.5, -0.5, -1.0))
    assert metrics.score(found, outputs, rows.labels) >= max(
        metrics.score(each, outputs, rows.labels) for each in ways
    )
    # Nothing to fit on where all have one.
    assert fitted(task, question_rows(9, 1), question_rows(9, 2), checkpoint) == task


def test_few_validation_rows_leave_it_to_the_training_rows(checkpoint):
    train, few = question_rows(60, 0, unanswerable=0.5), question_rows(12, 7, unanswerable=0.5)
    task = replace(SPANS, no_answer=0.0)
    assert fitted(task, train, few, checkpoint) == fitted(task, train, train, checkpoint)
