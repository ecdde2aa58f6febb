from __future__ import annotations

import numpy as np

from benchmarks import fill_mask
from benchmarks.results import Latency, Row
from benchmarks.rounds import Timings
from edgeroberta.data import Rows
from edgeroberta.tasks import Problem, Task
from edgeroberta.tasks.outputs import MaskedTokens

LATENCY = Latency(n=3, warm_up=1, p50=1.0, p90=1.0, p99=1.0, round_p50=(1.0, 1.0))


def test_tokens_are_compared_with_those_of_the_data_and_of_the_baseline():
    labels = MaskedTokens(np.array([4, 5], np.int64), np.array([0, 1, 2], np.int64))
    rows = Rows(("a <mask>", "<mask> b"), None, labels, "texts")
    slow = LATENCY.model_copy(update={"round_p50": (4.0, 4.0)})
    entries = [
        Row(name="transformers", title="pipeline", latency=slow),
        Row(name="int8/onnxruntime", title="ours", latency=LATENCY),
    ]
    timings = {"transformers": Timings(answers=[4, 6]), "int8/onnxruntime": Timings(answers=[4, 5])}
    judged = fill_mask.judge(entries, timings, rows, Task(Problem.MASKED, (), dimensions=20, mask_id=3))
    assert [(each.accuracy, each.same_answers) for each in judged.rows] == [(0.5, 1.0), (1.0, 0.5)]
    assert [(check.title, check.ok) for check in judged.checks] == [
        ("ours: accuracy lost", True),
        ("ours: texts with the same token", False),
        ("ours: p50 against transformers' pipeline", True),
    ]
