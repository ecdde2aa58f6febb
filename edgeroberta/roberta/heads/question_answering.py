"""Where the answer to a question begins and ends: one projection to two numbers, on all tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.roberta.heads.head import (
    EncoderTensors,
    ForeignTensors,
    HeadOutput,
    HeadTensors,
    PlainHead,
)

if TYPE_CHECKING:
    from torch import Tensor

    from edgeroberta.roberta.arrays import Linear
    from edgeroberta.roberta.blocks import Blocks


@dataclass(frozen=True)
class QuestionAnsweringWeights:
    """The projection."""

    projection: Linear

    @property
    def outputs(self) -> int:
        """Number of outputs per token: start and end."""
        return len(self.projection.bias)

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph.

        Its outputs are ``logits``, float [batch, length, 2], and for other programs ``start_logits`` and
        ``end_logits``, float [batch, length], as transformers' classes call them.
        """
        graph = blocks.graph
        result = blocks.linear("head.qa_outputs", encoder.states, self.projection)
        found = [HeadOutput(result, ("batch", "length", self.outputs))]
        if encoder.interchange:
            axis = graph.constant("index.2", [2], np.int64)
            for name, part in zip(
                ("start", "end"),
                blocks.split("head.parts", result, ("head.start.column", "head.end.column"), 1),
                strict=True,
            ):
                column = graph.node("Squeeze", (part, axis), f"head.{name}")
                found.append(HeadOutput(column, ("batch", "length"), f"{name}_logits"))
        return tuple(found)


class QuestionAnswering(PlainHead):
    """The head of ``RobertaForQuestionAnswering``, which has the same names in every family."""

    title = "question answering"
    suffix = "ForQuestionAnswering"
    first_token_only = False
    reads = gives = "qa_outputs"
    states_problem = False
    foreign: tuple[ForeignTensors, ...] = (
        ForeignTensors(
            r"^qa_outputs\.",
            "is a part of a head that RobertaForQuestionAnswering does not have",
            "its head is one linear layer, qa_outputs.weight and qa_outputs.bias, with two outputs",
        ),
    )

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layer."""
        yield self.reads, hidden, outputs

    def load(self, tensors: HeadTensors) -> QuestionAnsweringWeights:
        """Make its weights of its linear layer."""
        return QuestionAnsweringWeights(tensors.linear(self.reads))

    def read(self, output: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """Lay start and end logits, float [B, S] each, side by side: float [B, S, 2]."""
        import torch

        found: Tensor = torch.stack((output.start_logits, output.end_logits), dim=-1)
        return found
