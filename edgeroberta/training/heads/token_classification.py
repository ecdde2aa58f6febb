"""One answer per token, and labels of words.

A word's label is carried by its first token, and its others have none; or all of its tokens carry it, and
only the first of them begins an entity. Which it is, the data decides: :class:`edgeroberta.tasks.WordTags`
tell it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeroberta.tasks.outputs import WORD
from edgeroberta.training.heads import word_labels
from edgeroberta.training.heads.matching import match

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens


#: Texts that tell how much of what a student reads its teacher reads, too.
SAMPLED = 1024


class TokenClassification:
    """Tokens one by one; see :class:`edgeroberta.training.heads.TrainingHead`."""

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> TokenLabels:
        """Give the labels of words to tokens."""
        return TokenLabels(rows, task, tokens)

    def matches(self, ours: Tokens, theirs: Tokens) -> MatchedTokens:
        """Match tokens of the same characters, and those that begin at the same one."""
        return MatchedTokens(ours, theirs)


class TokenLabels:
    """Labels of the tokens of a run's first texts; those after them have none."""

    def __init__(self, rows: Rows, task: Task, tokens: Tokens) -> None:
        found = word_labels.assign(rows, task.labels, tokens)
        self._tokens, self._notes, self._count = tokens, found.notes, len(found.values)
        # one more, which stands for all tokens of texts without labels
        self._values = torch.from_numpy(found.values_and_none())

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return the labels of the texts at ``rows``, int64[B, S], zeros where there is none, and bool[B, S].

        Special tokens have no label, nor have padding and, by the data, the tokens inside of a word.
        """
        numbers, mask = self._tokens.table(rows)
        found = self._values[torch.from_numpy(numbers).clamp(max=self._count)]
        known = (found >= 0) & torch.from_numpy(mask)
        return found.clamp(min=0), known

    def notes(self) -> Mapping[str, int]:
        """Return how many words there are, and of how many no token is left: cut off, or dropped."""
        return self._notes


class MatchedTokens:
    """A teacher's answers to a student's tokens: of those that both read alike.

    Special tokens do not count: nobody has taught the teacher what to say of them, and nobody reads it.
    """

    def __init__(self, ours: Tokens, theirs: Tokens) -> None:
        self._ours, self._theirs = ours, theirs

    def asked(self, rows: Indices) -> Indices:
        """Return the same texts."""
        return rows

    def batch(self, rows: Indices, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits float[B, S, L] of the student's tokens, and bool[B, S] where there are such."""
        numbers, real = self._real(rows)
        if self._ours is self._theirs:
            return logits, torch.from_numpy(real).to(logits.device)
        found = torch.from_numpy(self._found(rows, numbers, real)).to(logits.device)
        picked = logits.gather(1, found.clamp(min=0)[..., None].expand(-1, -1, logits.shape[-1]))
        return picked, found >= 0

    def share(self) -> float | None:
        """Return the share of tokens that the teacher has one for, of the first :data:`SAMPLED` texts."""
        if self._ours is self._theirs:
            return None
        rows = np.arange(min(SAMPLED, len(self._ours)))
        numbers, real = self._real(rows)
        return float((self._found(rows, numbers, real) >= 0).sum() / max(int(real.sum()), 1))

    def _real(self, rows: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Return numbers of the student's tokens and where one stands for characters; see Tokens.table."""
        numbers, mask = self._ours.table(rows)
        return numbers, mask & (self._ours.located[numbers, WORD] >= 0)

    def _found(self, rows: Indices, numbers: Indices, real: npt.NDArray[np.bool_]) -> Indices:
        theirs, mask = self._theirs.table(rows)
        other = self._theirs.located[theirs]
        return match(self._ours.located[numbers], real, other, mask & (other[..., WORD] >= 0))
