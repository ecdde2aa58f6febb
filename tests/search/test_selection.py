"""What a search counts of the bundle beside the model: the baseline's answers to the held-out rows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from asked import SPANS

from edgeroberta.data.rows import Rows
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime.embedding_texts import reader
from edgeroberta.runtime.encoding import all_windows
from edgeroberta.search import selection
from edgeroberta.search.limits import BudgetLimits
from edgeroberta.tasks import Problem, Task

TEXTS = ("a film", "the plot")
EMBEDDING = Task(Problem.EMBEDDING, (), dimensions=32, pooling="mean")


def answers(task: Task, model: Checkpoint, rows: Rows) -> int:
    """Return the bytes that a search counts for answers."""
    job: Any = SimpleNamespace(
        task=task,
        model=model,
        data=SimpleNamespace(heldout=rows),
        target=SimpleNamespace(engines=("onnxruntime",)),
    )
    device: Any = SimpleNamespace(table=SimpleNamespace(shape=model.config.shape), lengths=(8,))
    return selection.shape_search(job, BudgetLimits(bytes=1_000_000), device).footprint.answers


@pytest.mark.parametrize("pairs", [False, True])
def test_both_embeddings_of_a_pair_are_counted(tiny_checkpoint, pairs):
    rows = Rows(TEXTS, TEXTS if pairs else None, np.zeros(2, np.float32), "here", apart=True)
    assert answers(EMBEDDING, Checkpoint(tiny_checkpoint), rows) == 4 * 32 * 2 * (1 + pairs)


def test_all_windows_of_a_context_are_counted(make_checkpoint):
    model = Checkpoint(make_checkpoint(problem="question_answering"))
    rows = Rows(("who?",), ("a long text " * 600,), None, "here")
    (encoding,) = reader(SPANS).open(model.folder, model.max_length).encode(rows.inputs())
    assert encoding.rest
    tokens = sum(len(each.ids) for each in all_windows([encoding]))
    assert answers(SPANS, model, rows) == tokens * (2 * 4 + 3 * 8)
