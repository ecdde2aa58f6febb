"""What a cascade is worth before it is made: an estimate, no promise."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeroberta.cascade.calibration import fit
from edgeroberta.cascade.evidence import Asked
from edgeroberta.tasks import Outputs, Task


def agreeing_share(
    task: Task, outputs: Outputs, last: Outputs, agreement: float, labels: Any = None
) -> float:
    """Estimate which share of all texts a model may answer in place of another one.

    Estimated and not bounded: the rows that the share is chosen by are those that it is measured on.

    Args:
        task: What the outputs mean.
        outputs: Of the model that is asked first, on n rows.
        last: Of the one that answers the rest.
        agreement: Share of all texts that are to have the latter's answer.
        labels: Of the rows; None where there are none.
    """
    asked = Asked.of(task, [outputs, last], [fit(task, outputs, last, labels)])
    order = np.argsort(-asked.confidence[0], kind="stable")
    changed = np.cumsum(asked.differs[0][order])
    fine = np.flatnonzero(changed <= (1 - agreement) * len(asked))
    return float((fine[-1] + 1) / len(asked)) if len(fine) else 0.0
