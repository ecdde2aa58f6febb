"""What an encoder costs: its dimensions, layer by layer, and the parameters and products they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeroberta.errors import shown
from edgeroberta.roberta import heads


@dataclass(frozen=True)
class LayerShape:
    """Dimensions of one encoder layer."""

    heads: int  # attention heads that are left in it, at least 1
    intermediate: int  # FFN neurons that are left in it, at least 1

    def to_json(self) -> dict[str, int]:
        """Return it as a JSON object."""
        return {"heads": self.heads, "intermediate": self.intermediate}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> LayerShape:
        """Read what :meth:`to_json` wrote; KeyError or ValueError where a field is missing or not above 0."""
        counts = [fields[name] for name in ("heads", "intermediate")]
        for value in counts:
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{shown(value)} is not a whole number above 0")
        return cls(*counts)


@dataclass(frozen=True)
class EncoderShape:
    """Dimensions of an encoder with its head; layers may differ."""

    vocab_size: int  # rows of the word embedding table
    hidden_size: int  # width of the residual stream
    head_size: int  # width of one attention head
    max_positions: int  # rows of the position table, the offset rows included
    type_vocab_size: int  # rows of the token type table
    labels: int  # outputs of the head, per unit
    layers: tuple[LayerShape, ...]  # each layer's own dimensions, the first layer first
    #: name of the head, a key of :data:`edgeroberta.roberta.heads.HEADS`
    head: str = "sequence-classification"

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the three tables and their norm."""
        return (self.vocab_size + self.max_positions + self.type_vocab_size + 2) * self.hidden_size

    @property
    def parameters(self) -> int:
        """Parameters of the whole model, as ``Checkpoint.parameters`` counts them."""
        layers = sum(self.layer_parameters(layer) for layer in self.layers)
        head = heads.parameters(heads.HEADS[self.head], self.hidden_size, self.labels, self.vocab_size)
        return self.embedding_parameters + layers + head

    def layer_parameters(self, layer: LayerShape) -> int:
        """Parameters of one layer, biases and norms included."""
        hidden, width = self.hidden_size, layer.heads * self.head_size
        attention = 3 * (hidden + 1) * width + (width + 1) * hidden
        ffn = (hidden + 1) * layer.intermediate + (layer.intermediate + 1) * hidden
        return attention + ffn + 4 * hidden

    def layer_macs(self, layer: LayerShape, length: int) -> int:
        """Multiply-accumulates of one layer for a text of ``length`` tokens, attention products included."""
        width = layer.heads * self.head_size
        per_token = 4 * self.hidden_size * width + 2 * self.hidden_size * layer.intermediate
        return length * per_token + 2 * length * length * width

    def macs(self, length: int) -> int:
        """Multiply-accumulates of all products for a text of ``length`` tokens, every layer in full."""
        layers = sum(self.layer_macs(layer, length) for layer in self.layers)
        return layers + heads.macs(heads.HEADS[self.head], self.hidden_size, self.labels, length)
