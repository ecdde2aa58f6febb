"""Some texts with their loss, for what is measured on a classifier by gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from edgeroberta.data.rows import Rows
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.sensitivity import TextBatch
from edgeroberta.tasks import Task
from edgeroberta.training import batching, losses, prediction

#: Texts per batch: with gradients of every layer kept, fewer than in an evaluation.
_BATCH = 32


def samples(rows: Rows, task: Task, *, source: Checkpoint, max_length: int) -> list[TextBatch]:
    """Make batches of texts, on the CPU.

    ``rows``: the texts; without labels the loss is half the square of the logits, whose gradient is the
    answer itself. ``source``: the model whose tokenizer reads them.
    """
    tokens = batching.tokenize(source, rows.inputs(), max_length=max_length)
    found = []
    for places in batching.by_length(tokens.lengths, batch_size=_BATCH):
        batch = prediction.to_device(tokens, places, torch.device("cpu"))
        labels = None if rows.labels is None else torch.from_numpy(rows.labels[places])
        found.append(TextBatch(batch.ids, batch.mask, _loss(labels, task)))
    return found


def _loss(labels: Tensor | None, task: Task) -> Callable[[Tensor], Tensor]:
    def loss(logits: Tensor) -> Tensor:
        if labels is None:
            return logits.square().sum(-1) / 2
        return losses.hard(logits, labels, task.problem)

    return loss
