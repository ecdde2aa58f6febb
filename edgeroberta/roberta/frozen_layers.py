"""Running a classifier's lower layers apart from the rest, and of its last layer only what the head reads."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeroberta.roberta import heads

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _PrecomputedEmbeddings(nn.Module):
    """Stands for the embeddings of a model that begins further up."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Tensor | None = None

    def forward(self, *arguments: object, **named: object) -> Tensor | None:
        """Return what was given, whatever is asked."""
        return self.states


class FrozenLayers:
    """Embeddings and lower layers of a model, taken out of it until closed; they do not learn.

    The model keeps the upper layers only, so it has no other parameters and gradients than theirs. Called
    with token ids as ever, it asks ``source`` for the output of the lower part; by default that is the lower
    part itself, run in evaluation mode (without dropout) and without gradients. ``model``: a Hugging Face
    RoBERTa, XLM-R or CamemBERT with a head; changed in place.
    """

    def __init__(self, model: PreTrainedModel, layers: int) -> None:
        base = model.base_model
        self.source: Callable[[Tensor, Tensor], Tensor] = self.run
        self._model, self._base, self._stack = model, base, base.encoder.layer
        self._embeddings, self._given = base.embeddings, _PrecomputedEmbeddings()
        self._part = _shallow(base)
        self._part.encoder = _shallow(base.encoder)
        self._part.encoder.layer = self._stack[:layers]
        self._part.requires_grad_(False).eval()
        base.embeddings, base.encoder.layer = self._given, self._stack[layers:]
        self._hook = model.register_forward_pre_hook(self._give, with_kwargs=True)

    def run(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Run the lower part on int64[B, S] ids and mask; float32[B, S, H], without gradients."""
        with torch.no_grad():
            states: Tensor = self._part(input_ids=ids, attention_mask=mask).last_hidden_state
        return states.float()

    def close(self) -> None:
        """Put the lower part back into its model, which is then whole again."""
        self._hook.remove()
        self._base.embeddings, self._base.encoder.layer = self._embeddings, self._stack
        self._part.train(self._model.training)

    def __enter__(self) -> FrozenLayers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _give(self, model: nn.Module, arguments: tuple[object, ...], named: dict[str, Any]) -> None:
        self._given.states = self.source(named["input_ids"], named["attention_mask"])


def _shallow(module: Any) -> Any:
    """Copy a module but not what is in it, so that one of its parts can be exchanged, nor later hooks."""
    twin = copy.copy(module)
    twin._modules = dict(module._modules)
    for hooks in ("_forward_pre_hooks", "_forward_pre_hooks_with_kwargs"):
        setattr(twin, hooks, copy.copy(getattr(module, hooks)))
    return twin


@contextlib.contextmanager
def cut_above(model: PreTrainedModel, layers: int) -> Iterator[None]:
    """Let a model end after some layers; they give what they did, and what its head says means nothing."""
    encoder = model.base_model.encoder
    whole = encoder.layer
    encoder.layer = whole[:layers]
    try:
        yield
    finally:
        encoder.layer = whole


@contextlib.contextmanager
def first_token_only(model: PreTrainedModel) -> Iterator[None]:
    """Let the last layer compute the first token alone where that is all the head reads; else change nothing.

    Keys and values need every token; the rest of the layer, ten twelfths of its products, does not. The
    logits are the same but for rounding, and for the elements that dropout draws.
    """
    import transformers

    if not heads.of_model(model).first_token_only:
        yield
        return
    stack = model.base_model.encoder.layer
    layer = stack[len(stack) - 1]
    as_tuple = int(transformers.__version__.partition(".")[0]) < 5

    def forward(states: Tensor, attention_mask: Tensor | None = None, *_: object, **named: object) -> Any:
        inner, first = layer.attention.self, states[:, :1]

        def split(projected: Tensor) -> Tensor:
            return projected.unflatten(-1, (-1, inner.attention_head_size)).transpose(1, 2)

        query, key, value = split(inner.query(first)), split(inner.key(states)), split(inner.value(states))
        mask = attention_mask
        if mask is not None:
            mask = mask[:, :, :1] if mask.dtype is torch.bool else mask[:, :, :1].to(query.dtype)
        attend = getattr(inner, "attend", None)  # products that are not plain ones, see int8_twin
        if attend is None:
            dropout = inner.dropout.p if inner.training else 0.0
            context = functional.scaled_dot_product_attention(query, key, value, mask, dropout)
        else:
            context = attend(query, key, value, mask)
        attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
        output = layer.output(layer.intermediate(attended), attended)
        return (output,) if as_tuple else output

    layer.forward = forward
    try:
        yield
    finally:
        del layer.forward
