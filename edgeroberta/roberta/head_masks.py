"""Masks on a Hugging Face encoder's units: one factor on every attention head and every FFN neuron.

A unit is gated where its output enters the projection that follows: a head's context before the
attention's output matrix, a neuron behind its activation. A gate of 0 is a unit that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgeroberta.roberta.observers import Hooks
from edgeroberta.tasks import Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel


class MaskedUnit(Word):
    """What a gate stands before."""

    HEAD = "head"
    NEURON = "neuron"


@dataclass(frozen=True, eq=False)
class MaskedProjection:
    """All units of one kind in one layer, and the projection that they enter."""

    layer: int  # index of the layer
    unit: MaskedUnit  # kind of unit
    projection: nn.Linear  # the linear module behind the units; its inputs are ``count * width`` wide
    count: int  # how many units there are
    width: int  # inputs of the projection that belong to one unit


def linear_ops(model: PreTrainedModel) -> tuple[MaskedProjection, ...]:
    """Return where a model's units are, layer by layer: its heads, then its neurons."""
    config = model.config
    head_size = config.hidden_size // config.num_attention_heads
    found = []
    for index, layer in enumerate(model.base_model.encoder.layer):
        attention, ffn = layer.attention.output.dense, layer.output.dense
        found.append(
            MaskedProjection(index, MaskedUnit.HEAD, attention, attention.in_features // head_size, head_size)
        )
        found.append(MaskedProjection(index, MaskedUnit.NEURON, ffn, ffn.in_features, 1))
    return tuple(found)


def unit_norms(model: PreTrainedModel) -> list[NDArray[np.float64]]:
    """Return the sum of squares of each unit's weights and biases, float64[count] per linear op."""
    result = []
    for linear_op in linear_ops(model):
        layer = model.base_model.encoder.layer[linear_op.layer]
        attention = layer.attention.self
        heads = (attention.query, attention.key, attention.value)
        makers = heads if linear_op.unit is MaskedUnit.HEAD else (layer.intermediate.dense,)
        total = linear_op.projection.weight.detach().double().square().sum(0)
        for maker in makers:
            total = total + maker.weight.detach().double().square().sum(1)
            total = total + maker.bias.detach().double().square()
        result.append(total.view(linear_op.count, linear_op.width).sum(1).cpu().numpy())
    return result


class HeadMasks(Hooks):
    """Lets a function see, and change, what enters the projections of some linear ops, until closed.

    ``through``: called with the place of a linear op in ``places`` and the projection's inputs, float[n, S,
    width]; returns what the projection gets instead.
    """

    def __init__(self, places: Sequence[MaskedProjection], through: Callable[[int, Tensor], Tensor]) -> None:
        super().__init__(
            linear_op.projection.register_forward_pre_hook(self._hook(place, through))
            for place, linear_op in enumerate(places)
        )

    @staticmethod
    def _hook(place: int, through: Callable[[int, Tensor], Tensor]) -> Any:
        def enter(module: object, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (through(place, arguments[0]), *arguments[1:])

        return enter
