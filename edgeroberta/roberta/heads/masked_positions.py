"""The head for masked words, computed for some tokens alone.

Its outputs are one number for each token of the vocabulary: of all tokens of a batch of texts they would
take gigabytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

#: Where the head is in models of transformers, by family: RoBERTa's and its like, BERT's.
_MODULES = ("lm_head", "cls")


def module(model: Any) -> nn.Module:
    """Return the head of a ``…ForMaskedLM``."""
    found: nn.Module = next(getattr(model, name) for name in _MODULES if hasattr(model, name))
    return found


@contextlib.contextmanager
def only(model: Any, positions: Tensor) -> Iterator[None]:
    """Let the head of a ``…ForMaskedLM`` read the states of some tokens alone.

    Its logits are then float [positions that are true, vocabulary], those of all texts one after the other.
    ``positions``: bool [B, S], of the batch that the model is called with.
    """
    handle = module(model).register_forward_pre_hook(lambda _, states: (states[0][positions], *states[1:]))
    try:
        yield
    finally:
        handle.remove()


@contextlib.contextmanager
def first_states(model: Any) -> Iterator[list[Tensor]]:
    """Keep the states of the first token of each text that a ``…ForMaskedLM`` reads, float [B, H].

    Returns a list that has them once the model was called.
    """
    kept: list[Tensor] = []

    def keep(_: nn.Module, states: tuple[Tensor, ...]) -> None:
        kept[:] = [states[0][:, 0]]

    handle = module(model).register_forward_pre_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def logits(model: Any, ids: Tensor, mask: Tensor, positions: Tensor, *, wrapped: Any = None) -> Tensor:
    """Run a ``…ForMaskedLM``, and return the logits at some positions, float [positions, vocabulary].

    ``ids``, ``mask``: int64 [B, S]. ``positions``: bool [B, S]. ``wrapped``: what to call in place of the
    model, where something is wrapped around it.
    """
    with only(model, positions):
        output = (model if wrapped is None else wrapped)(input_ids=ids, attention_mask=mask)
    found: Tensor = output.logits
    return found


def packed(logits: Tensor, k: int, *, temperature: float = 1.0) -> Tensor:
    """Pack the best tokens of each position, float [positions, 2 k].

    ``logits``: float [positions, vocabulary], divided by ``temperature`` first. Returns log-probabilities,
    the best first, then their ids, as :mod:`edgeroberta.tasks.masked` has them.
    """
    import torch

    best = torch.log_softmax(logits.float() / temperature, dim=-1).topk(min(k, logits.shape[-1]), dim=-1)
    return torch.cat([best.values, best.indices.float()], dim=-1)
