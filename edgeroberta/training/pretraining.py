"""Learning masked words of blocks of text, as RoBERTa did (Liu et al., arXiv:1907.11692)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeroberta.errors import DataError
from edgeroberta.roberta.heads import masked_positions
from edgeroberta.training import batching, prediction
from edgeroberta.training.batching import Indices

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from edgeroberta.training.blocks import Blocks
    from edgeroberta.training.hyperparameters import MatmulPrecision
    from edgeroberta.training.masked_tokens import TokenMasking
    from edgeroberta.training.prediction import ProcessBatch

#: Keep masks apart that are drawn at every step, once for each copy of the text, and for evaluations.
_OF_STEP, _OF_COPY, _OF_EVALUATION = 1, 2, 3
#: Most blocks that a model is judged on: 512,000 tokens tell a perplexity to about one percent.
HELDOUT_BLOCKS = 1000
#: Names of the losses.
MASKED, NEXT_SENTENCE = "masked", "next_sentence"


@dataclass(frozen=True, eq=False)
class MaskedBlocks:
    """A batch of blocks with some tokens masked."""

    ids: Tensor  # int64[B, S], what the model reads
    positions: Tensor  # bool[B, S], which tokens it is asked for
    true: Tensor  # int64[masks], what stood there, block by block


@dataclass(frozen=True, eq=False)
class MaskDraws:
    """Which tokens of a block are masked, at each of its visits.

    ``copies``: None where masks are drawn anew at every visit; else how many sets of masks each block has, of
    which its visits take one after the other, as BERT had ten (Devlin et al., arXiv:1810.04805). A draw
    depends on seed, block and visit alone, not on what else is in the batch or how often a run was resumed.
    """

    masking: TokenMasking
    seed: int
    steps_per_epoch: int = 1
    copies: int | None = None

    def of(self, batch: ProcessBatch) -> MaskedBlocks:
        """Mask the blocks of a batch for its step."""
        if self.copies is None:
            return self._masked(batch, (self.seed, _OF_STEP, batch.step))
        return self._masked(batch, (self.seed, _OF_COPY, batch.step // self.steps_per_epoch % self.copies))

    def evaluation(self, batch: ProcessBatch) -> MaskedBlocks:
        """Mask the blocks of a batch as at every evaluation."""
        return self._masked(batch, (self.seed, _OF_EVALUATION))

    def _masked(self, batch: ProcessBatch, stream: Sequence[int]) -> MaskedBlocks:
        ids = batch.ids.cpu().numpy().copy()
        positions = np.zeros(ids.shape, np.bool_)
        lengths = batch.mask.sum(1).tolist()
        for place, (row, length) in enumerate(zip(batch.rows.tolist(), lengths, strict=True)):
            ids[place, :length], masked = self.masking.text(ids[place, :length], (*stream, row))
            positions[place, masked] = True
        where = torch.from_numpy(positions).to(batch.ids.device)
        return MaskedBlocks(torch.from_numpy(ids).to(batch.ids.device), where, batch.ids[where])


@dataclass(frozen=True, eq=False)
class MaskedPass:
    """What a model made of a batch of masked blocks."""

    blocks: MaskedBlocks
    logits: Tensor  # float[masks, V]
    first: Tensor  # float[B, H], states of first tokens


class NextSentence(nn.Module):
    """The head that tells whether the second part of a block follows the first, as BERT's does.

    It is trained along and is no part of the result.
    """

    def __init__(self, hidden: int, dropout: float) -> None:
        super().__init__()
        self.dense, self.dropout = nn.Linear(hidden, hidden), nn.Dropout(dropout)
        self.answer = nn.Linear(hidden, 2)
        for layer in (self.dense, self.answer):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    @classmethod
    def seeded(cls, config: Any, seed: int) -> NextSentence:
        """Make the head of a model with this config; its weights hang on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config.hidden_size, config.hidden_dropout_prob)

    def forward(self, states: Tensor) -> Tensor:
        """Return logits, float[B, 2], of the states of first tokens, float[B, H]."""
        return self.answer(self.dropout(torch.tanh(self.dense(states))))


class PretrainingObjective:
    """Cross entropy of masked tokens, and of next sentences where blocks are pairs.

    Losses are sums: a step divides them by all its masked tokens (:meth:`units`), so that it is the same step
    in however many passes, by however many processes, and each mask weighs the same.
    """

    def __init__(self, model: PreTrainedModel, blocks: Blocks, draws: MaskDraws) -> None:
        self._model, self._draws = model, draws
        self._next = blocks.next_sentence
        self.companion = None if self._next is None else NextSentence.seeded(model.config, draws.seed)
        self._drawn: dict[bytes, MaskedBlocks] = {}

    def units(self, parts: Sequence[ProcessBatch]) -> Mapping[str, float]:
        """Draw the masks of this process's part of a step, and count them; those of weight 0 do not count."""
        self._drawn = {part.rows.tobytes(): self._draws.of(part) for part in parts}
        drawn = (len(self._drawn[part.rows.tobytes()].true) * part.weight for part in parts)
        found = {MASKED: float(sum(drawn))}
        if self.companion is not None:
            found[NEXT_SENTENCE] = float(sum(len(part.rows) * part.weight for part in parts))
        return found

    def __call__(self, model: nn.Module, batch: ProcessBatch) -> Mapping[str, Tensor]:
        """Run the model, wrapped or not, on a batch; returns the sum of each loss."""
        return self.losses(self.run(model, batch), batch)

    def run(self, model: nn.Module, batch: ProcessBatch) -> MaskedPass:
        """Run the model, wrapped or not, on the masks that were drawn for a batch."""
        masked = self._drawn.pop(batch.rows.tobytes())
        with masked_positions.first_states(self._model) as first:
            logits = masked_positions.logits(
                self._model, masked.ids, batch.mask, masked.positions, wrapped=model
            )
        return MaskedPass(masked, logits, first[0])

    def losses(self, made: MaskedPass, batch: ProcessBatch) -> dict[str, Tensor]:
        """Return the sum of the loss of each mask, and of next sentences where blocks are pairs, float[B]."""
        # every parameter gets a gradient, if only 0: data parallelism waits for all of them
        nothing = 0.0 * made.logits.sum()
        value = functional.cross_entropy(made.logits.float(), made.blocks.true, reduction="none")
        found = {MASKED: value.sum() + nothing}
        if self.companion is not None and self._next is not None:
            true = torch.from_numpy(self._next[batch.rows].astype(np.int64)).to(value.device)
            answers = self.companion(made.first).float()
            found[NEXT_SENTENCE] = functional.cross_entropy(answers, true, reduction="none")
        return found


@dataclass(frozen=True, eq=False)
class HeldoutText:
    """The blocks that a model is judged on, always with the same masks."""

    blocks: Blocks
    draws: MaskDraws
    batch_size: int
    precision: MatmulPrecision

    def evaluate(self, model: Any) -> dict[str, float]:
        """Return score, perplexity, and share of masked tokens that are guessed right.

        The score is minus the mean cross entropy. Blocks are divided among processes; each gets the result.
        """
        process, device = prediction.accelerator(), model.device
        rows = self._chosen()
        batches = batching.by_length(self.blocks.row_lengths[rows], batch_size=self.batch_size)
        dtype = prediction.precision_of(self.precision, device)
        sums = torch.zeros(3, dtype=torch.float64, device=device)
        model.eval()
        with torch.inference_mode():
            for places in batches[process.process_index :: process.num_processes]:
                batch = prediction.to_device(self.blocks, rows[places], device)
                masked = self.draws.evaluation(batch)
                with prediction.computing(dtype, device):
                    logits = masked_positions.logits(model, masked.ids, batch.mask, masked.positions)
                lost = functional.cross_entropy(logits.float(), masked.true, reduction="sum")
                right = (logits.argmax(-1) == masked.true).sum()
                sums += torch.stack([lost.double(), right.double(), sums.new_tensor(len(masked.true))])
        lost, right, masks = (
            process.reduce(sums, "sum").tolist() if process.num_processes > 1 else sums.tolist()
        )
        if not masks:
            raise DataError(
                "no token of the held-out text is part of a word, so nothing can be masked",
                hint="give text in a language that the tokenizer knows, or hold out more: pretrain.heldout",
            )
        mean = lost / masks
        return {"score": -mean, "perplexity": math.exp(min(mean, 700.0)), "accuracy": right / masks}

    def _chosen(self) -> Indices:
        """Take all blocks, or some of many, spread over all."""
        count = min(len(self.blocks), HELDOUT_BLOCKS)
        return np.linspace(0, len(self.blocks) - 1, count).round().astype(np.int64)
