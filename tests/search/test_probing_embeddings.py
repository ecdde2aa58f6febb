"""Students' embeddings are told apart by less than a gate would ask of int8."""

from __future__ import annotations

import numpy as np

from edgeroberta import metrics
from edgeroberta.search import probing
from edgeroberta.tasks import Outputs, Problem, Task


def test_candidates_of_embeddings_are_compared_loosely():
    task = Task(Problem.EMBEDDING, (), dimensions=2, pooling="mean")
    full, ours = (Outputs.of_texts(np.array([each], np.float32)) for each in ([1.0, 0.0], [0.95, 0.3]))
    assert not metrics.agrees(task, full, ours).any()
    assert metrics.agrees(probing._loosely(task), full, ours).all()
    plain = Task(Problem.SINGLE_LABEL, ("bad", "good"))
    assert probing._loosely(plain) is plain
