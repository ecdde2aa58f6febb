"""Flips: rows that the compressed model answers in another way than the baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.result import AnswerFlip
from edgeroberta.tasks import Problem, Task

Logits = npt.NDArray[np.float32]


def examples(
    rows: Rows, reference: BaselineAnswers, logits: Logits | None, limit: int, *, texts: bool = False
) -> tuple[AnswerFlip, ...]:
    """Show changed answers, first those of which the baseline was surest."""
    if rows.labels is None or logits is None:
        return ()
    task = reference.task
    flipped = np.flatnonzero(~metrics.agrees(task, reference.logits, logits))
    surest = flipped[np.argsort(-_sureness(task, reference.logits, logits)[flipped], kind="stable")]
    return tuple(
        AnswerFlip(
            row=int(row),
            text=rows.texts[row] if texts else None,
            pair=rows.pairs[row] if texts and rows.pairs is not None else None,
            truth=_name(task, rows.labels[row]),
            baseline=_name(task, task.decide(reference.logits[[row]])[0]),
            compressed=_name(task, task.decide(logits[[row]])[0]),
        )
        for row in surest[:limit]
    )


def _sureness(task: Task, full: Logits, compressed: Logits) -> npt.NDArray[np.float32]:
    """Rate rows by how sure the baseline was; a regression by how far the values are apart."""
    if task.problem is Problem.REGRESSION:
        return np.abs(full - compressed)[:, 0]
    if task.problem is Problem.MULTI_LABEL:
        return np.abs(full).min(axis=1)
    ordered = np.sort(full, axis=1)
    return ordered[:, -1] - ordered[:, -2]


def _name(task: Task, answer: Any) -> str:
    if task.problem is Problem.REGRESSION:
        return f"{float(answer):.3g}"
    if task.problem is Problem.MULTI_LABEL:
        chosen = [label for label, on in zip(task.labels, answer, strict=True) if on]
        return ", ".join(chosen) or "none"
    return task.labels[int(answer)]
