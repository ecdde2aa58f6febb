"""One answer per text, read from the first token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeroberta.tasks import Problem

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens


class SequenceClassification:
    """Texts as a whole; see :class:`edgeroberta.training.heads.TrainingHead`."""

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> TextLabels:
        """Take one label a text."""
        return TextLabels(rows.labels, task.problem, task.num_outputs)

    def matches(self, ours: Tokens, theirs: Tokens) -> WholeTexts:
        """Match every text, whatever its tokens."""
        return WholeTexts()


class TextLabels:
    """Labels int64[n], float32[n, L] or float32[n] of a run's first texts; those after them have none."""

    def __init__(self, values: npt.NDArray[Any] | None, problem: Problem, outputs: int) -> None:
        if values is None:
            shape = (0, outputs) if problem is Problem.MULTI_LABEL else (0,)
            values = np.zeros(shape, np.int64 if problem is Problem.SINGLE_LABEL else np.float32)
        self._count = len(values)
        # one row more, which stands for all texts without a label
        self._values = torch.from_numpy(
            np.concatenate([values, np.zeros_like(values, shape=(1, *values.shape[1:]))])
        )

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return the labels of the texts at ``rows``, zeros where there is none, and bool[B]."""
        places = torch.from_numpy(rows).clamp(max=self._count)
        return self._values[places], places < self._count

    def notes(self) -> Mapping[str, int]:
        """Return nothing; a text has its label."""
        return {}


class WholeTexts:
    """A teacher's answers as they are: one per text."""

    def asked(self, rows: Indices) -> Indices:
        """Return the same texts."""
        return rows

    def batch(self, rows: Indices, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float[B, L], and that all count."""
        return logits, torch.ones_like(logits[..., 0], dtype=torch.bool)

    def share(self) -> None:
        """Return nothing; the unit is the text."""
        return
