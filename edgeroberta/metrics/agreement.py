"""On which texts two models say the same."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeroberta.metrics.scores import Given, checked
from edgeroberta.tasks import Task


def agrees(task: Task, reference: Given, other: Given) -> npt.NDArray[np.bool_]:
    """Tell on which texts two models say the same, bool[n].

    ``reference``: outputs of the reference on n texts. ``other``: those of the other model. One label per
    text: the same label. Several: the same set of labels. Regression: the values differ by at most
    :func:`edgeroberta.tasks.regression.tolerance`. Tokens: the same entities.
    """
    known = checked(task, reference, len(reference))
    asked = checked(task, other, len(known))
    return task.kind.agrees(task, task.decide(known), task.decide(asked))


def agreement(task: Task, reference: Given, other: Given) -> float:
    """Return the share of texts on which two models say the same; see :func:`agrees`."""
    return float(np.mean(agrees(task, reference, other)))
