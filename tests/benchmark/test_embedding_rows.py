"""The baseline of an embedding model in bench: what it is made of beside its graph."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from edgeroberta.benchmark import lineup
from edgeroberta.benchmark.row import FLOAT_ONNX
from edgeroberta.measure import subjects
from edgeroberta.roberta.checkpoint import Checkpoint


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
        cast("Any", SimpleNamespace(threads=1, dtypes=())),
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
