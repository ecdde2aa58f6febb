"""How often what is true was given which answer, label by label."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgeroberta.tasks.outputs import Indices

#: Columns where any number of labels may apply: of a label, what was rightly said, not said, wrongly said.
OUTCOMES = ("found", "missed", "wrongly said")
#: Name of what bears no label: an entity that only one side has.
NOTHING = "nothing"


@dataclass(frozen=True, eq=False)
class Crosstab:
    """Counts of a model's answers; a confusion matrix where rows and columns are the same labels."""

    rows: tuple[str, ...]  # what is true
    columns: tuple[str, ...]  # what was answered
    counts: Indices  # int64 ``[rows, columns]``

    @classmethod
    def of_pairs(cls, names: tuple[str, ...], pairs: Iterable[tuple[int, int]]) -> Crosstab:
        """Count pairs of a true label and the one that was answered, by their numbers."""
        counts = np.zeros((len(names), len(names)), np.int64)
        given = np.array(list(pairs), np.int64).reshape(-1, 2)
        np.add.at(counts, (given[:, 0], given[:, 1]), 1)
        return cls(names, names, counts)
