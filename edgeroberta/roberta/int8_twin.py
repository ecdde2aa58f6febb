"""A model of transformers that computes as its int8 graph does, and learns what the graph will hold.

The graph joins and folds what transformers has apart (:mod:`.graph`): query, key and value are one matmul,
the bias of the values is part of the next one's, keys have none, and tables of embeddings are int8. The twin
does the same with the same numbers, and gives them back as a plan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from edgeroberta.roberta import heads
from edgeroberta.roberta.fake_quantized import (
    FakeQuantize,
    FakeQuantizedAttention,
    FakeQuantizedDecoder,
    FakeQuantizedLinear,
    WeightRounding,
    round_to_nearest,
)
from edgeroberta.roberta.quantized import AttentionPlan, MatMulPlan, QuantizationPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel

#: How the embeddings of transformers are called.
_WORDS, _POSITIONS, _TYPES = "word_embeddings", "position_embeddings", "token_type_embeddings"


@dataclass(frozen=True)
class _Place:
    """A linear layer of a model, and what it is in the graph."""

    layer: str  # its name in the model
    linear_op: str  # name of the matmul in the graph
    columns: slice  # which of the matmul's outputs are its own
    gain: float = 1.0  # what the matmul's outputs are multiplied by to be those of the layer


class Int8Twin:
    """A model that rounds as the int8 graph of a plan does, until closed.

    ``model``: a model of transformers with a head, in float32 and without dropout; changed in place.
    ``linear_ops``: names of the matmuls of its graph, in order. ``plan``: what is int8 there. ``tied``: those
    whose weights are the word embeddings. ``rounding``: how weights are rounded. Closed, the model is a float
    one again, with all that it has learned but the steps of the grids.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        linear_ops: Sequence[str],
        plan: QuantizationPlan,
        *,
        tied: Collection[str] = (),
        rounding: WeightRounding = round_to_nearest,
    ) -> None:
        self._model, self._plan, self._tied, self._rounding = model, plan, tied, rounding
        self._places = list(_places(model, linear_ops))
        self._undo: list[Callable[[], None]] = []
        self._quantize_embeddings()
        grids = {
            name: FakeQuantize(each.activation, each.smoothing)
            for name, each in plan.matmuls.items()
            if name not in self._tied
        }
        self._modules: dict[str, list[Any]] = {}
        value_bias: dict[str, Tensor] = {}
        for place in self._places:
            self._exchange(place, grids, value_bias)
        self._attentions = dict(self._quantize_attentions())

    # What is exchanged --------------------------------------------------------------------

    def _exchange(
        self, place: _Place, grids: Mapping[str, FakeQuantize], value_bias: dict[str, Tensor]
    ) -> None:
        """Put the int8 form of a linear layer in its place; a float one has its bias where the graph has."""
        parent, _, name = place.layer.rpartition(".")
        owner = self._model.get_submodule(parent)
        source: nn.Linear = getattr(owner, name)
        plan = self._plan.matmuls.get(place.linear_op)
        attention = place.linear_op.rpartition(".")[0]
        bias = None if plan is None else torch.from_numpy(plan.bias[place.columns].copy())
        if name == "value":
            value_bias[attention] = source.bias.detach().clone() if bias is None else bias
            reader = f"{attention}.output"
            folded = source.bias.detach() if reader in self._plan.matmuls else value_bias[attention]
            self._fold(source, folded.clone(), reader)
        if name in ("key", "value"):
            bias = None
        elif place.linear_op.endswith("attention.output") and bias is not None:
            bias = bias + source.weight.detach() @ value_bias[attention]
        if plan is None:
            return
        made: nn.Module
        if place.linear_op in self._tied:
            made = FakeQuantizedDecoder(source, plan)
        else:
            made = FakeQuantizedLinear(
                source,
                plan,
                place.columns,
                inputs=grids[place.linear_op],
                gain=place.gain,
                bias=bias,
                rounding=self._rounding,
            )
        setattr(owner, name, made)
        self._modules.setdefault(place.linear_op, []).append(made)
        self._undo.append(lambda: setattr(owner, name, made.release()))

    def _fold(self, value: nn.Linear, bias: Tensor, reader: str) -> None:
        """Move a bias of the values into that of the float layer that reads them, as the graph does.

        Attention probabilities add up to 1, so it passes the attention unchanged.
        """
        layer = next(each.layer for each in self._places if each.linear_op == reader)
        output: Any = self._model.get_submodule(layer)
        with torch.no_grad():
            output.bias.add_(output.weight @ bias)
            value.bias.zero_()
        value.bias.requires_grad_(False)

    def _quantize_embeddings(self) -> None:
        """Put the int8 tables, as float32, in the place of those that they stand for."""
        base: Any = self._model.base_model
        words, positions = self._plan.word_embeddings, self._plan.positions
        if words is not None:
            self._put(base.embeddings, _WORDS, words.values.astype(np.float32) * words.scale)
        if positions is not None:
            types = getattr(base.embeddings, _TYPES).weight[0].detach().numpy()
            table = positions.values.astype(np.float32) * positions.scale - types
            self._put(base.embeddings, _POSITIONS, table)

    def _put(self, embeddings: nn.Module, name: str, rows: np.ndarray[Any, Any]) -> None:
        """Overwrite the last rows of a table; those before them stand for no position."""
        table: Tensor = getattr(embeddings, name).weight
        before = table.detach().clone()
        with torch.no_grad():
            table[len(table) - len(rows) :] = torch.from_numpy(rows)

        def restore() -> None:
            with torch.no_grad():
                table.copy_(before)

        self._undo.append(restore)

    def _quantize_attentions(self) -> Iterator[tuple[str, FakeQuantizedAttention]]:
        for index, layer in enumerate(self._model.base_model.encoder.layer):
            name = f"layer.{index}.attention"
            plan, inner = self._plan.attentions.get(name), layer.attention.self
            if plan is None:
                continue
            output = self._plan.matmuls.get(f"{name}.output")
            inner.attend = made = FakeQuantizedAttention(
                plan.query,
                plan.key,
                plan.value,
                plan.probabilities,
                size=inner.attention_head_size,
                smoothing=None if output is None else output.smoothing,
            )
            inner.forward = _forward(inner)
            self._undo.append(partial(_release_attention, inner))
            yield name, made

    # What was learned ---------------------------------------------------------------------

    def matmuls(self) -> dict[str, MatMulPlan]:
        """Return the int8 forms of all matmuls with what was learned."""
        return {name: self._matmul(self._plan.matmuls[name], each) for name, each in self._modules.items()}

    @staticmethod
    def _matmul(plan: MatMulPlan, layers: Sequence[Any]) -> MatMulPlan:
        learned = replace(plan, activation=layers[0].inputs.learned())
        if isinstance(layers[0], FakeQuantizedDecoder):
            return replace(learned, bias=_array(layers[0].bias))
        none = [np.zeros(len(each.weight), np.float32) for each in layers]
        biases = [
            zero if each.bias is None else _array(each.bias) for each, zero in zip(layers, none, strict=True)
        ]
        return replace(
            learned,
            weight=np.ascontiguousarray(np.concatenate([each.integers() for each in layers], axis=1)),
            weight_scale=np.concatenate([_array(each.step) for each in layers]),
            bias=np.concatenate(biases),
            outliers=layers[0].outliers(),
        )

    def attentions(self) -> dict[str, AttentionPlan]:
        """Return the int8 forms of all attentions with what was learned."""
        return {
            name: AttentionPlan(
                each.query.learned(), each.key.learned(), each.value.learned(), each.probabilities.grid
            )
            for name, each in self._attentions.items()
        }

    def close(self) -> None:
        """Make the model a float one again."""
        for undo in self._undo:
            undo()
        self._undo.clear()

    def __enter__(self) -> Int8Twin:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _places(model: PreTrainedModel, linear_ops: Sequence[str]) -> Iterator[_Place]:
    """Find the linear layers of the graph's matmuls, those of values before those that read the context."""
    base: Any = model.base_model
    prefix = "" if base is model else f"{model.base_model_prefix}."
    for index, layer in enumerate(base.encoder.layer):
        inner, op = layer.attention.self, f"layer.{index}"
        start, path = f"{op}.attention", f"{prefix}encoder.layer.{index}"
        width, gain = inner.query.out_features, math.sqrt(inner.attention_head_size)
        joint = f"{start}.qkv" in linear_ops
        keys = f"{start}.qkv" if joint else f"{start}.kv"
        first = width if joint else 0
        asked = slice(0, width)
        yield _Place(f"{path}.attention.self.query", keys if joint else f"{start}.query", asked, gain)
        for number, name in enumerate(("key", "value")):
            part = slice(first + number * width, first + (number + 1) * width)
            yield _Place(f"{path}.attention.self.{name}", keys, part)
        yield _Place(f"{path}.attention.output.dense", f"{start}.output", slice(None))
        yield _Place(f"{path}.intermediate.dense", f"{op}.ffn.in", slice(None))
        yield _Place(f"{path}.output.dense", f"{op}.ffn.out", slice(None))
    head = heads.of_model(model)
    layers = [name for name, _, _ in head.linears(1, 1)]
    # A head writes its linear layers in their order, and behind them a decoder that it may have besides.
    if head.gives and head.gives not in layers:
        layers.append(head.gives)
    for name, linear_op in zip(
        layers, (each for each in linear_ops if not each.startswith("layer.")), strict=False
    ):
        yield _Place(name, linear_op, slice(None))


def _release_attention(inner: Any) -> None:
    del inner.forward
    del inner.attend


def _forward(inner: Any) -> Callable[..., tuple[Tensor, None]]:
    """Make the forward pass of a self-attention that computes its products by ``inner.attend``."""

    def forward(states: Tensor, attention_mask: Tensor | None = None, *_: object, **named: object) -> Any:
        query, key, value = (
            layer(states).unflatten(-1, (-1, inner.attention_head_size)).transpose(1, 2)
            for layer in (inner.query, inner.key, inner.value)
        )
        context = inner.attend(query, key, value, attention_mask)
        return context.transpose(1, 2).flatten(2), None

    return forward


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.detach().cpu().numpy().copy()
