"""A label for each token: one projection, on all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeroberta.roberta.heads.head import (
    EncoderTensors,
    ForeignTensors,
    HeadOutput,
    HeadTensors,
    PlainHead,
)

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

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph; its outputs are float [batch, length, labels]."""
        result = blocks.linear("head.classifier", encoder.states, self.projection)
        return (HeadOutput(result, ("batch", "length", self.outputs)),)


class TokenClassification(PlainHead):
    """The head of ``RobertaForTokenClassification``, and of the same class of another family."""

    title = "token classification"
    suffix = "ForTokenClassification"
    first_token_only = False
    reads = gives = "classifier"
    states_problem = False
    foreign: tuple[ForeignTensors, ...] = (
        ForeignTensors(
            r"^classifier\.",
            "is a part of a head that models for token classification do not have",
            "its head is one linear layer, classifier.weight and classifier.bias; name another class under"
            ' "architectures" in config.json if the model is another\'s',
        ),
    )

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layer."""
        yield self.reads, hidden, outputs

    def load(self, tensors: HeadTensors) -> TokenClassificationWeights:
        """Make its weights of its linear layer."""
        return TokenClassificationWeights(tensors.linear(self.reads))
