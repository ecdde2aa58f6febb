from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.metrics import resampling
from edgeroberta.tasks import KINDS, Problem, Task, classification


@pytest.mark.parametrize("metric", KINDS[Problem.SINGLE_LABEL.value].metrics)
def test_of_many_labels_the_rarest_and_the_most_frequent_tell_what_can_be_lost(metric, monkeypatch):
    task = Task(Problem.SINGLE_LABEL, tuple(f"l{i}" for i in range(60)))
    rng = np.random.default_rng(0)
    labels = np.sort(rng.zipf(1.3, 3000) - 1).clip(0, 59)
    good = np.where(rng.random(3000) < 0.9, labels, rng.integers(0, 60, 3000))

    def highest() -> float:
        sample = resampling.sample_drop(task, good, good, labels, metric, None)
        return float(np.quantile(sample.draw(400, seed=0), 0.975))

    few = highest()
    assert len(task.kind.lost(task, good, labels)[0]) <= classification.MOST_LABELS**2
    monkeypatch.setattr(classification, "MOST_LABELS", 60)
    assert few == pytest.approx(highest(), rel=0.02)


def test_a_sample_of_ranks_takes_no_more_memory_for_few_texts_than_for_many():
    task = Task(Problem.REGRESSION, ("score",))
    values = np.random.default_rng(0).normal(size=500).astype(np.float32)
    sample = resampling.sample_drop(task, values, values, values, "spearman", np.arange(500) % 10)
    assert (len(sample.counts), sample.cells) == (11, 501)
