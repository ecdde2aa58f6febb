"""How much each attention head and FFN neuron matters to the task, measured on the user's texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edgeroberta.progress import Progress
from edgeroberta.tasks import Unit, Word

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from edgeroberta.data.rows import Rows
    from edgeroberta.roberta.checkpoint import Checkpoint
    from edgeroberta.roberta.head_masks import MaskedProjection
    from edgeroberta.tasks import Problem, Task
    from edgeroberta.training.batching import Tokens
    from edgeroberta.training.heads import Labels
    from edgeroberta.training.prediction import ProcessBatch

    Loss = Callable[[Tensor], Tensor]

Floats = npt.NDArray[np.float64]

#: Texts per backward pass.
BATCH = 32


class ImportanceMethod(Word):
    """How units are scored."""

    TAYLOR = "taylor"  #: how fast the task's loss changes with the unit's gate, on the user's texts
    MAGNITUDE = "magnitude"  #: sum of the squares of the unit's weights
    RANDOM = "random"  #: at random, by the seed


@dataclass(frozen=True, eq=False)
class Importance:
    """Scores of all units, per layer; a unit of 0 can go at no loss."""

    heads: tuple[Floats, ...]  # per layer, float64[heads]
    neurons: tuple[Floats, ...]  # per layer, float64[neurons]


@dataclass(frozen=True, eq=False)
class ScoringExamples:
    """Texts to score on."""

    tokens: Tokens  # the texts
    labels: Labels  # their labels
    problem: Problem  # kind of task

    @classmethod
    def of(cls, model: Checkpoint, rows: Rows, task: Task, *, max_length: int) -> ScoringExamples:
        """Tokenize rows, which must have labels, but for masked words.

        ``model``: the one whose tokenizer reads them.
        """
        from edgeroberta.training import batching, finetuning, heads, masked_tokens

        if task.kind.unit is not Unit.MASK:
            finetuning.labels_of(rows)
        tokens = batching.tokenize(
            model, rows.read(), max_length=max_length, places=task.kind.unit.located, units=rows.units
        )
        tokens = masked_tokens.prepared(tokens, task, source=model)
        return cls(tokens, heads.of(task).labels(rows, task, tokens), task.problem)


def score(
    model: PreTrainedModel,
    examples: ScoringExamples,
    *,
    method: ImportanceMethod = ImportanceMethod.TAYLOR,
    seed: int = 0,
    progress: Progress | None = None,
) -> Importance:
    """Score the units of a model.

    ``model``: a classifier; it is left as it is, in evaluation mode. ``examples``: texts with labels; only
    :attr:`ImportanceMethod.TAYLOR` reads them. ``progress``: where to report; only Taylor scores take time.
    Returns the scores, the same on every process of a launch.
    """
    from edgeroberta.roberta import head_masks

    places = head_masks.linear_ops(model)
    if method is ImportanceMethod.RANDOM:
        random = np.random.default_rng(seed)
        scores = [random.random(linear_op.count) for linear_op in places]
    elif method is ImportanceMethod.MAGNITUDE:
        scores = head_masks.unit_norms(model)
    else:
        scores = _taylor(model, places, examples, progress or Progress())
    pairs = list(zip(places, scores, strict=True))
    return Importance(
        heads=tuple(values for linear_op, values in pairs if linear_op.unit is head_masks.MaskedUnit.HEAD),
        neurons=tuple(
            values for linear_op, values in pairs if linear_op.unit is head_masks.MaskedUnit.NEURON
        ),
    )


def _taylor(
    model: PreTrainedModel,
    places: tuple[MaskedProjection, ...],
    examples: ScoringExamples,
    progress: Progress,
) -> list[Floats]:
    """Average ``|d loss / d gate|`` over texts (Michel et al., arXiv:1905.10650).

    To first order that is what the loss changes by when the unit goes. It is taken text by text: over a
    batch, gains and losses would cancel out. Scores are not scaled
    per layer: what a layer loses is in the unit of the loss already, and the budget is global.
    """
    from accelerate.utils import gather_object

    from edgeroberta.training import batching, losses, prediction

    process, device = prediction.accelerator(), model.device
    model.eval()
    sums = np.zeros(sum(linear_op.count for linear_op in places))
    batches = batching.by_length(examples.tokens.row_lengths, batch_size=BATCH)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:  # only the gates want gradients: half the work
        parameter.requires_grad_(False)
    try:
        with progress.bar("scores", examples.tokens.count, "texts") as advance:
            for rows in batches[process.process_index :: process.num_processes]:
                batch = prediction.to_device(examples.tokens, rows, device)

                def loss(logits: Tensor, batch: ProcessBatch = batch) -> Tensor:
                    labels, known = examples.labels.batch(batch.rows)
                    value = losses.hard(batch.by_row(logits), labels.to(device), examples.problem)
                    return losses.per_text(value, known.to(device)).sum()

                sums += _gradients(model, places, batch, loss)
                advance(len(rows) * process.num_processes)
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
    if process.num_processes > 1:
        sums = np.sum(gather_object([sums]), axis=0)
    bounds = np.cumsum([linear_op.count for linear_op in places])[:-1]
    return list(np.split(sums / examples.tokens.count, bounds))


def _gradients(
    model: PreTrainedModel, places: tuple[MaskedProjection, ...], batch: ProcessBatch, loss: Loss
) -> Floats:
    """Sum ``|d loss / d gate|`` over the texts of a batch, float64[units of all places]."""
    import torch

    from edgeroberta.roberta import heads
    from edgeroberta.roberta.head_masks import HeadMasks

    size, device = len(batch.ids), model.device
    head_masks = [
        torch.ones(size, linear_op.count, device=device, requires_grad=True) for linear_op in places
    ]

    def gated(place: int, inputs: Tensor) -> Tensor:
        return inputs * head_masks[place].repeat_interleave(places[place].width, dim=1)[:, None]

    with HeadMasks(places, gated):
        value = loss(heads.logits(model, batch.ids, batch.mask).float())
    found = torch.cat([gradient.abs().sum(0) for gradient in torch.autograd.grad(value, head_masks)])
    return found.double().cpu().numpy()
