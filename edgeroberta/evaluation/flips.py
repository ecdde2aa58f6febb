"""Flips: rows that the compressed model answers in another way than the baseline."""

from __future__ import annotations

import numpy as np

from edgeroberta import metrics
from edgeroberta.data.rows import Rows
from edgeroberta.evaluation.baseline_store import BaselineAnswers
from edgeroberta.evaluation.result import AnswerFlip
from edgeroberta.tasks import Calibration, Outputs


def examples(
    rows: Rows, reference: BaselineAnswers, outputs: Outputs | None, limit: int, *, texts: bool = False
) -> tuple[AnswerFlip, ...]:
    """List changed answers, ``limit`` at most, first those of which the baseline was surest."""
    if rows.labels is None or outputs is None:
        return ()
    task, kind = reference.task, reference.task.kind
    flipped = np.flatnonzero(~metrics.agrees(task, reference.outputs, outputs))
    sureness = kind.sureness(task, reference.outputs[flipped], outputs[flipped])
    shown = flipped[np.argsort(-sureness, kind="stable")[:limit]]
    sure = kind.confidence(task, reference.outputs[shown], Calibration())
    truth = task.truth(rows.labels[shown])
    full, ours = (task.decide(each[shown]) for each in (reference.outputs, outputs))
    inputs = rows.inputs()
    kept = [inputs[row] if texts else None for row in shown]
    return tuple(
        AnswerFlip(
            row=int(row),
            text=rows.texts[row] if texts else None,
            pair=rows.pairs[row] if texts and rows.pairs is not None else None,
            truth=kind.named(task, truth[place], kept[place]),
            baseline=kind.named(task, full[place], kept[place]),
            compressed=kind.named(task, ours[place], kept[place]),
            confidence=None if sure is None else round(float(sure[place]), 4),
        )
        for place, row in enumerate(shown)
    )
