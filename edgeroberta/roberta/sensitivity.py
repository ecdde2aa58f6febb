"""What of an encoder matters on the user's texts, by first-order Taylor scores; moments of its states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from edgeroberta.roberta import heads
from edgeroberta.roberta.observers import OutputObserver

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, eq=False)
class TextBatch:
    """A batch of texts to measure on."""

    ids: Tensor  # token ids, int64[B, S]
    mask: Tensor  # attention mask, int64[B, S]
    #: from logits float[B, L], float[B, S, L] of a head per token, or float[masks, V] of masked words, to the
    #: loss of each text, float[B]
    loss: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What was measured; every score is a mean over texts, and higher means that more depends on it."""

    channels: Tensor  # float32[H], of the residual stream, over all norms
    heads: tuple[Tensor, ...]  # per layer, float32[heads]
    neurons: tuple[Tensor, ...]  # per layer, float32[neurons] of the FFN
    units: Tensor | None  # float32[H], between the two matmuls of the head; None where it has one
    #: float32[1 + 2 layers, H], mean output of every norm; of the last one, of what the head reads: the first
    #: tokens alone, or all
    means: Tensor
    covariance: Tensor  # float32[H, H], of the norms' outputs, each about its own mean


def norms(model: PreTrainedModel) -> list[nn.Module]:
    """Return the norms whose outputs are the residual stream: after the embeddings, then two per layer."""
    found = [model.base_model.embeddings.LayerNorm]
    for layer in model.base_model.encoder.layer:
        found += [layer.attention.output.LayerNorm, layer.output.LayerNorm]
    return found


def measure(model: PreTrainedModel, samples: Sequence[TextBatch]) -> Sensitivity:
    """Measure a model on texts.

    The score of a part is the squared change of the loss, to first order, were its output 0: the sum of
    output times gradient over a text's tokens, squared (Molchanov et al., arXiv:1906.10771). ``model``: a
    Hugging Face model of one of the families with a head; left in evaluation mode.
    """
    model.eval()
    layers = model.base_model.encoder.layer
    linear_ops, head = norms(model), heads.of_model(model)
    between = [model.get_submodule(head.gives)] if head.gives != head.reads else []
    contexts = [layer.attention.output.dense for layer in layers]
    inner = [layer.output.dense for layer in layers]
    watched = [*linear_ops, *contexts, *inner, *between]
    scores: dict[nn.Module, Tensor] = {}
    moments = _Moments(len(linear_ops), model.config.hidden_size)
    texts = 0
    with (
        OutputObserver(outputs=linear_ops, inputs=[*contexts, *inner, *between]) as recording,
        torch.enable_grad(),
    ):
        for sample in samples:
            logits = heads.logits(model, sample.ids, sample.mask).float()
            values = [recording.values[module] for module in watched]
            gradients = torch.autograd.grad(sample.loss(logits).sum(), values)
            for module, value, gradient in zip(watched, values, gradients, strict=True):
                effect = (value * gradient).detach()
                effect = effect.sum(1) if effect.ndim == 3 else effect
                if module in contexts:
                    size = layers[0].attention.self.attention_head_size
                    effect = effect.unflatten(1, (-1, size)).sum(2)
                scores[module] = scores.get(module, torch.zeros(())) + effect.square().sum(0)
            moments.add([value.detach() for value in values[: len(linear_ops)]], sample.mask)
            texts += len(sample.ids)
    means, covariance = moments.result(first=head.first_token_only)
    return Sensitivity(
        channels=torch.stack([scores[linear_op] for linear_op in linear_ops]).sum(0) / texts,
        heads=tuple(scores[module] / texts for module in contexts),
        neurons=tuple(scores[module] / texts for module in inner),
        units=scores[between[0]] / texts if between else None,
        means=means,
        covariance=covariance,
    )


class _Moments:
    """Means and covariance of the norms' outputs, in float64, summed up batch by batch."""

    def __init__(self, linear_ops: int, width: int) -> None:
        self.sums = torch.zeros(linear_ops, width, dtype=torch.float64)
        self.squares = torch.zeros(width, width, dtype=torch.float64)
        self.first = torch.zeros(width, dtype=torch.float64)
        self.tokens = self.texts = 0

    def add(self, outputs: list[Tensor], mask: Tensor) -> None:
        """Add a batch: the output of each norm, float[B, S, H]."""
        for linear_op, output in enumerate(outputs):
            tokens = output[mask.bool()].double()
            self.sums[linear_op] += tokens.sum(0)
            self.squares += tokens.T @ tokens
        self.first += outputs[-1][:, 0].double().sum(0)
        self.tokens += int(mask.sum())
        self.texts += len(mask)

    def result(self, *, first: bool) -> tuple[Tensor, Tensor]:
        """Return the means, float32[linear ops, H], and the covariance, float32[H, H].

        ``first``: the last mean is that of the first tokens alone.
        """
        means = self.sums / self.tokens
        covariance = self.squares / (self.tokens * len(means)) - means.T @ means / len(means)
        if first:
            means[-1] = self.first / self.texts
        return means.float(), covariance.float()
