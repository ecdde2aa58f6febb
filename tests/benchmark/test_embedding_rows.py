"""The baseline of an embedding model in bench: what it is made of beside its graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edgeroberta.benchmark import lineup
from edgeroberta.benchmark.bench_request import BenchRequest
from edgeroberta.benchmark.row import FLOAT_ONNX, EvaluationData
from edgeroberta.benchmark.run import judged
from edgeroberta.data.rows import Rows
from edgeroberta.errors import UsageError
from edgeroberta.measure import subjects
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.tasks import Problem, Task


def test_the_float_graph_of_a_sentence_transformers_folder_is_read_as_that_folder(
    make_sentence_transformer, tmp_path, monkeypatch
):
    """Pooling and the limit of tokens stand beside ``config.json``, which alone tells of a classifier."""
    model = Checkpoint(make_sentence_transformer(reading={"max_seq_length": 16}))
    monkeypatch.setattr(lineup, "_model", lambda *given: model)
    monkeypatch.setattr(lineup, "_on_gpu", lambda spec, dtypes: [])
    inputs = (("a great film", "a great movie"),)
    facts = SimpleNamespace(task=model.task, long_texts=SimpleNamespace(overlap=None))
    rows = lineup.baseline_rows(
        cast("Any", SimpleNamespace(threads=1, dtypes=(), model=None)),
        cast("Any", facts),
        cast("Any", SimpleNamespace(reference=None, inputs=inputs)),
        tmp_path,
        [],
    )
    spec = next(row.spec for row in rows if row.name == FLOAT_ONNX)
    assert Checkpoint(tmp_path).task == model.task
    assert Checkpoint(tmp_path).max_length == 16
    answers = subjects.open_float_onnx(spec).outputs(inputs)
    np.testing.assert_allclose(np.linalg.norm(answers.values, axis=1), [1, 1], atol=1e-5)


@pytest.mark.parametrize(
    ("judged_by", "labels", "wanted", "refused"),
    [
        (None, np.stack([np.arange(3)] * 2, axis=1), "recall@10", "pearson"),
        ("recall@1", np.linspace(0, 1, 3, dtype=np.float32), "spearman", "mrr@10"),
    ],
)
def test_other_rows_than_those_it_was_made_with_are_judged_by_what_they_have(
    tmp_path, judged_by, labels, wanted, refused
):
    """Before anything is measured."""
    task = Task(Problem.EMBEDDING, (), dimensions=8, pooling="mean", judged_by=judged_by)
    rows = Rows(("a", "b", "c"), ("d", "e", "f"), labels, "rows.csv", apart=True)
    data = EvaluationData(task, rows.inputs(), rows)
    assert judged(BenchRequest(tmp_path), data).metric == wanted
    with pytest.raises(UsageError, match=f"these rows have no {refused}") as caught:
        judged(BenchRequest(tmp_path, metric=refused), data)
    assert caught.value.code == "usage.metric-unknown"
