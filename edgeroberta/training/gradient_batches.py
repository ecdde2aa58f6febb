"""Some texts with their loss, for what is measured on a classifier by gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgeroberta.data.rows import Rows
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.sensitivity import TextBatch
from edgeroberta.tasks import Problem, Task, Unit
from edgeroberta.training import batching, heads, losses, masked_tokens, pair_losses, prediction
from edgeroberta.training.batching import Indices, Tokens
from edgeroberta.training.heads import Labels
from edgeroberta.training.heads.masked_words import MaskLabels
from edgeroberta.training.masked_tokens import MaskedTexts, TokenMasking
from edgeroberta.training.prediction import ProcessBatch

#: Texts per batch: with gradients of every layer kept, fewer than in an evaluation.
_BATCH = 32
#: Tokens per batch of long blocks: 8 of 512.
_TOKENS = 4096


def samples(rows: Rows, task: Task, *, source: Checkpoint, max_length: int) -> list[TextBatch]:
    """Make batches of texts, on the CPU.

    ``rows``: the texts; without labels the loss is half the square of the logits, whose gradient is the
    answer itself; of embeddings, which may all have length 1, half the squares of their cosines. Masked words
    are known without labels. ``source``: the model whose tokenizer reads them.
    """
    tokens = batching.tokenize(
        source, rows.read(), max_length=max_length, places=task.kind.unit.located, units=rows.units
    )
    tokens = masked_tokens.prepared(tokens, task, source=source)
    told_nothing = rows.labels is None and task.kind.unit is not Unit.MASK
    labels = None if told_nothing else heads.of(task).labels(rows, task, tokens)
    return _batches(tokens, labels, task, batch_size=_BATCH)


def of_blocks(blocks: Tokens, rows: Indices, task: Task, *, source: Checkpoint) -> list[TextBatch]:
    """Make batches of some blocks of unlabelled text with masked words, on the CPU.

    ``rows``: int64[n], which blocks. ``task``: that of masked words. ``source``: the model whose tokenizer
    has read them.
    """
    starts, stops = blocks.offsets[rows], blocks.offsets[rows + 1]
    chosen = [blocks.ids[start:stop] for start, stop in zip(starts, stops, strict=True)]
    packed = Tokens.pack(chosen, pad_id=blocks.pad_id)
    tokens = MaskedTexts.of(packed, TokenMasking.of(source), seed=0)
    return _batches(tokens, MaskLabels(tokens), task, batch_size=max(1, _TOKENS // packed.longest))


def _batches(tokens: Tokens, labels: Labels | None, task: Task, *, batch_size: int) -> list[TextBatch]:
    found = []
    for places in batching.by_length(tokens.row_lengths, batch_size=batch_size):
        batch = prediction.to_device(tokens, places, torch.device("cpu"))
        told = None if labels is None else labels.batch(places)
        found.append(TextBatch(batch.ids, batch.mask, _loss(told, batch, task)))
    return found


def _loss(
    labels: tuple[Tensor, Tensor] | None, batch: ProcessBatch, task: Task
) -> Callable[[Tensor], Tensor]:
    mask = batch.mask

    def loss(logits: Tensor) -> Tensor:
        if labels is None and task.problem is Problem.EMBEDDING:
            return pair_losses.likeness(logits)
        if labels is None:
            counts = mask.bool() if task.kind.unit is Unit.TOKEN else torch.ones(len(mask), dtype=torch.bool)
            return losses.per_text(logits.square().sum(-1) / 2, counts)
        true, known = labels
        return losses.per_text(losses.hard(batch.by_row(logits), true, task.problem), known)

    return loss
