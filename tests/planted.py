"""Answers of two models to rows of groups, of which planted shares are lost, for the tests of slices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from edgeroberta.evaluation.gate import PairedAnswers
from edgeroberta.evaluation.slices import RowSlice
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
ONE = np.eye(2, dtype=np.float32)


def groups(
    sizes: Sequence[int], lost: Sequence[float], *, gained: float = 0.0, seed: int = 0
) -> tuple[PairedAnswers, tuple[RowSlice, ...]]:
    """Draw rows of groups ``a``, ``b`` …, of which the second model gets so many of the first one's wrong."""
    rng = np.random.default_rng(seed)
    count = sum(sizes)
    truth = rng.integers(0, 2, count)
    full = np.where(rng.random(count) < 0.92, truth, 1 - truth)
    missed = (full == truth) & (rng.random(count) < np.repeat(lost, sizes))
    found = (full != truth) & (rng.random(count) < gained)
    ours = np.where(missed, 1 - truth, np.where(found, truth, full))
    ends = np.cumsum([0, *sizes])
    parts = tuple(
        RowSlice("dialect", "abcdefghijklmnopqrstuvwxyz"[number], np.arange(start, end))
        for number, (start, end) in enumerate(itertools.pairwise(ends))
    )
    return PairedAnswers(TASK, ONE[full], ONE[ours], truth, seed=seed), parts
