"""What a fresh head for masked words begins with: how frequent the tokens of the text are.

A fresh head on a trained encoder is worse than a guess: its decoder is the embeddings, whose products with
random states are large. And the biases of tens of thousands of tokens take thousands of steps to learn what
counting tells at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edgeroberta.roberta.heads import masked_positions

if TYPE_CHECKING:
    from edgeroberta.training.batching import Indices
    from edgeroberta.training.blocks import Blocks

#: Tokens that are counted: enough to know the rare ones about as well as a training run will.
COUNTED = 20_000_000


def begin(model: Any, blocks: Blocks, ordinary: Indices) -> None:
    """Let a fresh head answer with the frequency of each token, and a little of what the encoder says.

    Its bias becomes the logarithm of frequencies in the text, and its norm is scaled so that products with
    the embeddings have about the variance 1. ``ordinary``: ids of all tokens that are part of words.
    """
    decoder = model.get_output_embeddings()
    prior = log_frequencies(blocks, ordinary, decoder.weight.shape[0])
    norm = next(each for each in masked_positions.module(model).modules() if isinstance(each, nn.LayerNorm))
    with torch.no_grad():
        decoder.bias.copy_(torch.from_numpy(prior))
        length = float(decoder.weight.norm(dim=1).square().mean().sqrt())
        norm.weight.mul_(min(1.0, 1.0 / length))


def log_frequencies(blocks: Blocks, ordinary: Indices, size: int) -> npt.NDArray[np.float32]:
    """Return the logarithm of each token's share of the ordinary tokens, float32[size].

    Half an occurrence is added to each; tokens that are no part of words have that alone.
    """
    found = np.bincount(blocks.ids[:COUNTED], minlength=size)[:size]
    counts = np.full(size, 0.5)
    counts[ordinary] += found[ordinary]
    return np.log(counts / counts.sum()).astype(np.float32)
