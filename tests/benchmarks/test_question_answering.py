from __future__ import annotations

import numpy as np
import pytest

from benchmarks import question_answering
from benchmarks.results import Latency, Row
from benchmarks.rounds import Timings
from edgeroberta.data import Rows
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import AnswerSpans

CONTEXTS = ("The film was made in the old Paris.", "It has no colour.")
GOLD = [[(29, 34)], [(7, 16)]]
TASK = Task(Problem.SPANS, ("start", "end"), pair=True)


def row(name: str, p50: float = 1.0, **fields: object) -> Row:
    latency = Latency(n=3, warm_up=1, p50=p50, p90=p50, p99=p50, round_p50=(p50, p50))
    return Row(name=name, title=name, latency=latency, **fields)


def heldout() -> Rows:
    labels = AnswerSpans(
        np.array([span for each in GOLD for span in each], np.int64),
        np.array([0, 1, 2], np.int64),
        contexts=CONTEXTS,
        documents=CONTEXTS,
    )
    return Rows(("where?", "what?"), CONTEXTS, labels, "questions")


def test_answers_are_judged_as_squad_does_and_compared_with_the_baseline_span_by_span():
    timings = {
        "transformers": Timings(answers=[[29, 34], [7, 16]]),
        "int8/onnxruntime": Timings(answers=[[21, 34], [7, 16]]),
        "int8/openvino": Timings(error="died"),
    }
    judged = question_answering.judge([row(name) for name in timings], timings, heldout(), TASK)
    found = [(each.f1, each.accuracy, each.same_answers) for each in judged.rows]
    # "the old Paris" against "Paris": the article does not count, one of two words is right.
    assert found == [
        (1.0, 1.0, 1.0),
        (pytest.approx((2 / 3 + 1) / 2, abs=1e-4), 0.5, 0.5),
        (None, None, None),
    ]


@pytest.mark.parametrize(
    ("fields", "missed"),
    [
        ({}, None),
        ({"f1": 0.49}, "F1 lost"),
        ({"same_answers": 0.96}, "questions with the same span"),
        ({"p50": 1.5}, "p50 against transformers' pipeline"),
    ],
)
def test_what_a_bundle_lacks_is_told(fields, missed):
    ours = {"f1": 0.5, "same_answers": 0.98, "p50": 1.0, **fields}
    rows = [row("transformers", 4.0, f1=0.5), row("optimum-int8", 2.0, f1=0.4), row("int8/openvino", **ours)]
    told = [check.title for check in question_answering.checks(rows) if not check.ok]
    assert len(told) == (missed is not None)
    assert all(missed in title for title in told)
