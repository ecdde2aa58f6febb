"""All that was chosen for a graph, and the plan that remains when some of it stays float."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from edgeroberta.quantization.attention import AttentionChoice
from edgeroberta.quantization.search import Choice
from edgeroberta.roberta.quantized import ColumnQuantized, QuantizationPlan, RowQuantized


@dataclass(frozen=True)
class Chosen:
    """An int8 form for every site of a graph."""

    matmuls: Mapping[str, Choice]  # site to its choice
    embeddings: RowQuantized | None = None  # the word table in int8; None to keep it float
    #: attention to its choice; empty to keep all of them float
    attentions: Mapping[str, AttentionChoice] = field(default_factory=dict)
    positions: ColumnQuantized | None = None  # the position table in int8; None to keep it float

    def names(self, kept_float: Collection[str] = ()) -> list[str]:
        """Return the names of all matmuls and attentions but those."""
        return [name for name in (*self.matmuls, *self.attentions) if name not in kept_float]

    def implied(self, kept_float: Collection[str]) -> dict[str, str]:
        """Return the further attentions that stay float when the named sites do, with the reason for each.

        TensorRT fuses an attention in int8 only where the matmul behind it reads int8; in half precision it
        fuses either way (TensorRT-RTX 1.7.1).
        """
        return {
            name: f"{each.reader} is float, and no int8 attention fuses before a float matmul"
            for name, each in self.attentions.items()
            if each.reader in kept_float and name not in kept_float
        }

    def plan(self, kept_float: Collection[str]) -> QuantizationPlan:
        """Return the plan in which the named matmuls and attentions stay float, and what that implies."""
        stay = {*kept_float, *self.implied(kept_float)}
        matmuls = {name: each.plan for name, each in self.matmuls.items() if name not in stay}
        attentions = {name: each.plan for name, each in self.attentions.items() if name not in stay}
        return QuantizationPlan(matmuls, self.embeddings, attentions, self.positions)
