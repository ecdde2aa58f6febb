"""What a pruned encoder costs, for :mod:`edgeroberta.prune.allocation`: parameters, products, seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgeroberta.roberta.shape import EncoderShape, LayerShape

if TYPE_CHECKING:
    from edgeroberta.latency.table import LatencyTable


@dataclass(frozen=True)
class ParameterCost:
    """Parameters of the layers; embeddings and head stay what they are and are not counted."""

    shape: EncoderShape  # the model before pruning
    fixed: float = 0.0  # nothing

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the parameters of one layer."""
        return float(self.shape.layer_parameters(shape))


@dataclass(frozen=True)
class MacCost:
    """Multiply-accumulates of the layers for a text of one length."""

    shape: EncoderShape  # the model before pruning
    length: int  # tokens of the text
    fixed: float = 0.0  # nothing

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the products of one layer."""
        return float(self.shape.layer_macs(shape, self.length))


@dataclass(frozen=True, eq=False)
class LatencyCost:
    """Seconds of one call with a text of one length, from a measured table."""

    table: LatencyTable
    length: int  # tokens of the text, as the engine gets them
    _known: dict[tuple[LayerShape, bool], float] = field(default_factory=dict, init=False, repr=False)

    @property
    def fixed(self) -> float:
        """Seconds beside the layers."""
        return self.table.fixed(self.length)

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the seconds of one layer; the last one computes less."""
        last = index == depth - 1
        if (shape, last) not in self._known:  # an allocation asks for the same shape in every layer
            self._known[shape, last] = self.table.layer(shape, self.length, last=last)
        return self._known[shape, last]
