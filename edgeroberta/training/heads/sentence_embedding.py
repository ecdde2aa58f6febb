"""One embedding per text, and what is known of pairs of texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeroberta.training.heads.sequence_classification import WholeTexts

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens


class SentenceEmbedding:
    """Texts as a whole, told by pairs of them; see :class:`edgeroberta.training.heads.TrainingHead`."""

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> PairLabels:
        """Take what is known of each pair."""
        return PairLabels(rows.labels)

    def matches(self, ours: Tokens, theirs: Tokens) -> WholeTexts:
        """Match every text, whatever its tokens."""
        return WholeTexts()


class PairLabels:
    """Scores float32[n] of a run's first rows, or their numbers of queries and passages int64[n, 2].

    Scores are scaled to 0 … 1 by the smallest and the largest of them. Rows after these have none.
    """

    def __init__(self, values: npt.NDArray[Any] | None) -> None:
        if values is None:
            values = np.zeros(0, np.float32)
        if values.dtype.kind == "f":
            low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
            spread = high - low if high > low else 1.0
            values = ((values - low) / spread).astype(np.float32)
            none = np.full(1, np.nan, np.float32)
        else:
            none = np.full((1, *values.shape[1:]), -1, np.int64)
        self._count = len(values)
        # one row more, which stands for all of which nothing is known
        self._values = torch.from_numpy(np.concatenate([values, none]))

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return what is known of the pairs at ``rows``, NaN or -1 where nothing is, and bool[B]."""
        places = torch.from_numpy(rows).clamp(max=self._count)
        return self._values[places], places < self._count

    def notes(self) -> Mapping[str, int]:
        """Return nothing; a pair has its score, or its passage."""
        return {}
