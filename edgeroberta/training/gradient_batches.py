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
from edgeroberta.training.prediction import ProcessBatch

#: Texts per batch: with gradients of every layer kept, fewer than in an evaluation.
_BATCH = 32


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
    found = []
    for places in batching.by_length(tokens.row_lengths, batch_size=_BATCH):
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
