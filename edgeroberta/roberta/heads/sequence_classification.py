"""Labels, or a number, for a text as a whole: dense, tanh, projection, on the first token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
class SequenceClassificationWeights:
    """Dense, tanh, projection, on the first token."""

    dense: Linear
    projection: Linear

    @property
    def outputs(self) -> int:
        """Number of outputs per text."""
        return len(self.projection.bias)

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph; its outputs are float [batch, labels]."""
        # [batch, 1, hidden] throughout: of a matrix product of two dimensions and a bias, ONNX Runtime
        # makes a Gemm, which has no int8 form there, and dequantizes the weight at every call.
        token = encoder.states if encoder.first else blocks.first_token("head.first", encoder.states)
        dense = blocks.graph.node("Tanh", (blocks.linear("head.dense", token, self.dense),), "head.tanh")
        result = blocks.linear("head.projection", dense, self.projection)
        shape = blocks.graph.constant(f"shape.-1,{self.outputs}", [-1, self.outputs], np.int64)
        result = blocks.graph.node("Reshape", (result, shape), "head.result")
        return (HeadOutput(result, ("batch", self.outputs)),)


#: Heads of one layer, and of more than RoBERTa's two.
_OTHER_THAN_ROBERTAS: tuple[ForeignTensors, ...] = (
    ForeignTensors(
        r"^classifier\.(weight|bias)$",
        "is a head of one layer, as BERT has it; RoBERTa's has two",
        "train a head of two from the same encoder: edgeroberta compress BASE-MODEL --recipe"
        ' finetune-int8; if the model labels tokens, write "architectures":'
        ' ["RobertaForTokenClassification"] in config.json',
    ),
    ForeignTensors(
        r"^classifier\.",
        "is a part of the head that RoBERTa's does not have",
        "fine-tune RobertaForSequenceClassification, whose head is dense, tanh and out_proj",
    ),
)
#: Heads of more than the one layer that BERT has behind its pooler.
OTHER_THAN_BERTS: tuple[ForeignTensors, ...] = (
    ForeignTensors(
        r"^classifier\.(?!(weight|bias)$)",
        "is a part of a head that BERT's does not have, which is one layer behind the pooler",
        "fine-tune BertForSequenceClassification, whose head is bert.pooler.dense and classifier",
    ),
)


class SequenceClassification(PlainHead):
    """The head of ``RobertaForSequenceClassification``, or of another family under its own names."""

    title = "sequence classification"
    suffix = "ForSequenceClassification"
    first_token_only = True
    states_problem = True

    def __init__(
        self,
        reads: str = "classifier.dense",
        gives: str = "classifier.out_proj",
        foreign: tuple[ForeignTensors, ...] = _OTHER_THAN_ROBERTAS,
    ) -> None:
        self.reads, self.gives, self.foreign = reads, gives, foreign

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layers."""
        yield self.reads, hidden, hidden
        yield self.gives, hidden, outputs

    def load(self, tensors: HeadTensors) -> SequenceClassificationWeights:
        """Make its weights."""
        return SequenceClassificationWeights(tensors.linear(self.reads), tensors.linear(self.gives))
