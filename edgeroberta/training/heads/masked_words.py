"""One answer per mask; what stood there is known of every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from edgeroberta.training.masked_tokens import MaskedTexts

if TYPE_CHECKING:
    from edgeroberta.data.rows import Rows
    from edgeroberta.tasks import Task
    from edgeroberta.training.batching import Indices, Tokens


class MaskedWords:
    """Masks one by one; see :class:`edgeroberta.training.heads.TrainingHead`.

    Tokens are those of :func:`edgeroberta.training.masked_tokens.prepared`.
    """

    def labels(self, rows: Rows, task: Task, tokens: Tokens) -> MaskLabels:
        """Take what stood where a mask is, whatever the rows know."""
        return MaskLabels(_masked(tokens))

    def matches(self, ours: Tokens, theirs: Tokens) -> MatchedMasks:
        """Match mask by mask; both must have read the same tokens."""
        if ours is not theirs:
            raise ValueError("student and teacher read other tokens")
        return MatchedMasks(_masked(ours))


class MaskLabels:
    """The true tokens of masks."""

    def __init__(self, tokens: MaskedTexts) -> None:
        self._tokens = tokens

    def batch(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """Return the true tokens of the texts at ``rows``, int64[masks], and where masks are, bool[B, S]."""
        return torch.from_numpy(self._tokens.masked(rows)), torch.from_numpy(self._tokens.masks(rows))

    def notes(self) -> Mapping[str, int]:
        """Return how many masks there are."""
        return {"masks": len(self._tokens.true)}


class MatchedMasks:
    """A teacher's answers to masks, which are those of the student."""

    def __init__(self, tokens: MaskedTexts) -> None:
        self._tokens = tokens

    def batch(self, rows: Indices, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what there is of each mask, float[masks, ...], and where these are, bool[B, S]."""
        return logits, torch.from_numpy(self._tokens.masks(rows)).to(logits.device)

    def asked(self, rows: Indices) -> Indices:
        """Return the same texts."""
        return rows

    def share(self) -> None:
        """Return nothing; there is an answer for each mask."""
        return


def _masked(tokens: Tokens) -> MaskedTexts:
    if not isinstance(tokens, MaskedTexts):
        raise TypeError("no token of these texts is masked")
    return tokens
