"""A label for each token: one projection, on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeroberta.roberta.heads.head import ForeignTensors

if TYPE_CHECKING:
    from edgeroberta.roberta.arrays import Linear
    from edgeroberta.roberta.blocks import Blocks


@dataclass(frozen=True)
class TokenClassificationWeights:
    """The projection."""

    projection: Linear

    @property
    def outputs(self) -> int:
        """Number of outputs per token."""
        return len(self.projection.bias)

    def write(self, blocks: Blocks, states: str, *, first: bool) -> tuple[str, tuple[str | int, ...]]:
        """Write the end of the graph; its outputs are float [batch, length, labels]."""
        result = blocks.linear("head.classifier", states, self.projection)
        return result, ("batch", "length", self.outputs)


class TokenClassification:
    """The head of ``RobertaForTokenClassification``."""

    title = "token classification"
    suffix = "ForTokenClassification"
    first_token_only = False
    reads = gives = "classifier"
    states_problem = False
    foreign: tuple[ForeignTensors, ...] = (
        ForeignTensors(
            r"^classifier\.",
            "is a part of a head that RobertaForTokenClassification does not have",
            "its head is one linear layer, classifier.weight and classifier.bias; name another class under"
            ' "architectures" in config.json if the model is another\'s',
        ),
    )

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layer."""
        yield self.reads, hidden, outputs

    def load(self, linear: Callable[[str], Linear]) -> TokenClassificationWeights:
        """Make its weights of its linear layer."""
        return TokenClassificationWeights(linear(self.reads))
