"""Pruning without surgery: the whole model, with what is to be left out multiplied by 0 while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from edgeroberta.roberta.shape import EncoderShape
from edgeroberta.roberta.surgery import KeptUnits


@contextlib.contextmanager
def masked(model: Any, kept: KeptUnits) -> Iterator[Any]:
    """Let a model answer as if it had only what is kept: the reference for every pruned model."""
    handles, place = [], {old: new for new, old in enumerate(kept.layers)}
    for index, layer in enumerate(model.base_model.encoder.layer):
        if index not in place:
            handles.append(layer.register_forward_hook(_pass_through))
            continue
        size = layer.attention.self.attention_head_size
        columns = [head * size + column for head in kept.heads[place[index]] for column in range(size)]
        handles.append(layer.attention.output.dense.register_forward_pre_hook(_only(columns)))
        neurons = list(kept.neurons[place[index]])
        handles.append(layer.output.dense.register_forward_pre_hook(_only(neurons)))
    try:
        yield model
    finally:
        for handle in handles:
            handle.remove()


def random_kept(shape: EncoderShape, seed: int) -> KeptUnits:
    """Choose layers, and heads and neurons of each, in numbers that differ from layer to layer."""
    random = np.random.default_rng(seed)

    def some(count: int) -> tuple[int, ...]:
        chosen = random.choice(count, random.integers(1, count + 1), replace=False)
        return tuple(sorted(int(index) for index in chosen))

    layers = some(len(shape.layers))
    heads = tuple(some(shape.layers[index].heads) for index in layers)
    return KeptUnits(layers, heads, tuple(some(shape.layers[index].intermediate) for index in layers))


def _pass_through(module: object, arguments: Any, output: Any) -> Any:
    # transformers 4 layers return a tuple, transformers 5 layers the states alone
    return (arguments[0], *output[1:]) if isinstance(output, tuple) else arguments[0]


def _only(columns: list[int]) -> Any:
    def mask(module: Any, arguments: Any) -> Any:
        factors = torch.zeros(module.in_features)
        factors[columns] = 1.0
        return (arguments[0] * factors, *arguments[1:])

    return mask
