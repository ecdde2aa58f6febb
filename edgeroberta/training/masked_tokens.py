"""Masking token ids for training: which tokens of a text are to be told, and what stands in their place.

A text's masks depend on the seed, the text's number and, where they are drawn anew at every step, on the
step: not on what else is in the batch, nor on how often a run was resumed.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edgeroberta.roberta import word_beginnings
from edgeroberta.runtime import mask_token, tokenizerfiles
from edgeroberta.tasks import Unit
from edgeroberta.training.batching import Indices, Tokens, packed_numbers

if TYPE_CHECKING:
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.tasks import Task

#: Share of a text's tokens that are masked where nobody says otherwise, as BERT and RoBERTa have it.
SHARE = 0.15
#: Keeps masks that never change apart from those of a step.
_STATIC, _OF_STEP = 0, 1


@dataclass(frozen=True, eq=False)
class TokenMasking:
    """How tokens are masked."""

    mask_id: int  # id of the mask token
    ordinary: Indices  # ids of all tokens that are part of words, rising: only these are masked
    share: float = SHARE  # share of a text's ordinary tokens that are masked; at least one is
    random: float = 0.0  # share of these that become a token drawn by chance in place of the mask
    kept: float = 0.0  # share of these that stay as they are
    #: bool[V], which tokens begin a word, where all tokens of a word are masked together; None where each is
    #: masked by itself
    begins: npt.NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        model: Checkpoint,
        *,
        share: float = SHARE,
        random: float = 0.0,
        kept: float = 0.0,
        whole_words: bool = False,
    ) -> TokenMasking:
        """Mask as a model's tokenizer has it. Raises CheckpointError: it has no mask token."""
        token = mask_token.find(model.folder)
        tokenizer, _ = tokenizerfiles.read(model.folder)
        ids = set(tokenizer.get_vocab(with_added_tokens=True).values()) - token.special
        begins = word_beginnings.table(model) if whole_words else None
        return cls(token.id, np.array(sorted(ids), np.int64), share, random, kept, begins)

    def text(self, ids: Indices, stream: Sequence[int]) -> tuple[Indices, Indices]:
        """Mask one text.

        ``ids``: int64[tokens]. ``stream``: what the draw depends on. Returns the ids with some replaced, and
        the places of these, rising; none where there is no ordinary token.
        """
        random = np.random.default_rng(stream)
        found = np.searchsorted(self.ordinary, ids)
        possible = np.flatnonzero(self.ordinary[np.minimum(found, len(self.ordinary) - 1)] == ids)
        count = min(len(possible), max(1, round(self.share * len(possible))))
        if self.begins is None:
            places = np.sort(random.permutation(possible)[:count])
        else:
            places = self._words(ids, possible, count, random)
        fate, changed = random.random(len(places)), ids.copy()
        changed[places[fate >= self.random + self.kept]] = self.mask_id
        drawn = places[fate < self.random]
        changed[drawn] = random.choice(self.ordinary, len(drawn))
        return changed, places

    def _words(self, ids: Indices, possible: Indices, count: int, random: np.random.Generator) -> Indices:
        """Draw whole words that have about ``count`` tokens together; of a longer word, its beginning.

        A word begins where its token does, or behind a special token.
        """
        assert self.begins is not None
        if not len(possible):
            return possible
        first = self.begins[ids[possible]] | np.concatenate([[True], np.diff(possible) > 1])
        starts = np.flatnonzero(first)
        sizes = np.diff(np.append(starts, len(possible)))
        order = random.permutation(len(starts))
        total = np.cumsum(sizes[order])
        taken = max(1, int(np.searchsorted(total, count, side="right")))
        chosen, left = list(order[:taken]), count - int(total[taken - 1])
        for word in order[taken:]:  # the last tokens go to words that fit
            if left <= 0:
                break
            if sizes[word] <= left:
                chosen.append(word)
                left -= int(sizes[word])
        owner = np.cumsum(first) - 1
        return possible[np.isin(owner, chosen)][:count]

    def batch(
        self, ids: Tensor, mask: Tensor, rows: Indices, *, seed: int, step: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mask the texts of a batch for one step.

        ``ids``, ``mask``: int64[B, S]. ``rows``: int64[B], numbers of the texts. Returns ids with some
        replaced, int64[B, S]; where these are, bool[B, S]; and the true ids there, int64[masks].
        """
        lengths = mask.sum(1).tolist()
        changed = ids.cpu().numpy().copy()
        positions = np.zeros(changed.shape, np.bool_)
        for place, (row, length) in enumerate(zip(rows.tolist(), lengths, strict=True)):
            one, masked = self.text(changed[place, :length], (seed, _OF_STEP, step, row))
            changed[place, :length] = one
            positions[place, masked] = True
        where = torch.from_numpy(positions).to(ids.device)
        return torch.from_numpy(changed).to(ids.device), where, ids[where]

    def expected(self, lengths: Indices) -> float:
        """Return about how many tokens of a text are masked, mean over texts of int64[n] tokens."""
        return float(np.maximum(1, np.round(self.share * (lengths - 2))).mean())


@dataclass(frozen=True, eq=False)
class MaskedTexts(Tokens):
    """Tokens of texts with masks that never change, and what stood there.

    Every token that is asked for is the mask token, as in use.
    """

    true: Indices = field(default_factory=lambda: np.zeros(0, np.int64))  # int64[masks], text by text
    #: int64[n + 1], where each text's masks start
    mask_offsets: Indices = field(default_factory=lambda: np.zeros(1, np.int64))
    mask_id: int = -1

    @classmethod
    def of(cls, tokens: Tokens, masking: TokenMasking, seed: int) -> MaskedTexts:
        """Mask texts once; their ids are copied, 4 bytes a token."""
        ids = np.array(tokens.ids)
        true: list[Indices] = [np.zeros(0, np.int64)]
        for row, (start, stop) in enumerate(itertools.pairwise(tokens.offsets.tolist())):
            own = ids[start:stop].astype(np.int64)
            changed, places = masking.text(own, (seed, _STATIC, row))
            true.append(own[places])
            ids[start:stop] = changed
        counts = np.fromiter(map(len, true), np.int64, len(true))
        known = {each.name: getattr(tokens, each.name) for each in fields(Tokens)}
        return cls(
            **{**known, "ids": ids},
            true=np.concatenate(true),
            mask_offsets=np.cumsum(counts),
            mask_id=masking.mask_id,
        )

    def masks(self, rows: Indices) -> npt.NDArray[np.bool_]:
        """Tell where the masks of the texts at ``rows`` are, bool[B, S]."""
        numbers, real = self.table(rows)
        return real & (self.ids[numbers] == self.mask_id)

    def masked(self, rows: Indices) -> Indices:
        """Return the true tokens of the texts at ``rows``, int64[masks], text by text."""
        return self.true[packed_numbers(self.mask_offsets, rows)]


def prepared(
    tokens: Tokens, task: Task, *, source: Checkpoint, share: float = SHARE, seed: int = 0
) -> Tokens:
    """Mask texts once where the task is one of masked words; return those of other tasks as they are.

    ``source``: the model whose tokenizer has read them.
    """
    if task.kind.unit is not Unit.MASK:
        return tokens
    return MaskedTexts.of(tokens, TokenMasking.of(source, share=share), seed)
