"""A vector for a text: the states of its tokens pooled, without a layer of its own.

As sentence-transformers computes it in its modules ``Pooling`` and ``Normalize`` (Reimers and Gurevych,
Sentence-BERT, arXiv:1908.10084).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.roberta.heads.head import (
    EncoderTensors,
    ForeignTensors,
    Head,
    HeadOutput,
    HeadTensors,
    PlainHead,
)
from edgeroberta.tasks import POOLINGS, SentenceEmbedding

if TYPE_CHECKING:
    from torch import Tensor

    from edgeroberta.roberta.blocks import Blocks

#: What a length is divided by at least; the default of torch.nn.functional.normalize.
_LEAST = 1e-12


@dataclass(frozen=True)
class SentenceEmbeddingWeights:
    """No weights, but what is done with the states."""

    how: SentenceEmbedding
    outputs: int  # dimensions of an embedding, those of a state

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph: the embedding float32 [batch, hidden], whatever the body is.

        For other programs there is ``last_hidden_state`` besides, from which they pool by themselves: of all
        tokens, or of the first alone where no other is read.
        """
        from edgeroberta.roberta.blocks import onnx_type

        graph = blocks.graph
        states = encoder.states
        if blocks.body != np.float32:  # sums over 512 tokens are more than half precision tells apart
            states = graph.node("Cast", (states,), "head.states", to=onnx_type(np.float32))
        pooled = _POOLINGS[self.how.pooling](blocks, states, encoder)
        shape = graph.constant(f"shape.-1,{self.outputs}", [-1, self.outputs], np.int64)
        result = graph.node("Reshape", (pooled, shape), "head.pooled")
        if self.how.normalize:
            result = _normalized(blocks, result)
        wide = ("batch", self.outputs)
        if not encoder.interchange:
            return (HeadOutput(result, wide),)
        tokens = 1 if encoder.first else "length"
        return (
            HeadOutput(result, wide, "sentence_embedding"),
            HeadOutput(encoder.states, ("batch", tokens, self.outputs), "last_hidden_state"),
        )


def _float_mask(blocks: Blocks, encoder: EncoderTensors) -> str:
    from edgeroberta.roberta.blocks import onnx_type

    return blocks.graph.node("Cast", (encoder.mask,), "head.mask", to=onnx_type(np.float32))


def _mean(blocks: Blocks, states: str, encoder: EncoderTensors) -> str:
    """Average over tokens, float32 [batch, 1, hidden]: one matrix product with a row of shares."""
    graph = blocks.graph
    mask = _float_mask(blocks, encoder)
    last, second = (graph.constant(f"index.{axis}", [axis], np.int64) for axis in (-1, 1))
    tokens = graph.node("ReduceSum", (mask, last), "head.tokens", keepdims=1)
    shares = graph.node("Div", (mask, tokens), "head.shares")
    row = graph.node("Unsqueeze", (shares, second), "head.row")
    return graph.node("MatMul", (row, states), "head.mean")


def _cls(blocks: Blocks, states: str, encoder: EncoderTensors) -> str:
    """Take the first token, float32 [batch, 1, hidden]."""
    return states if encoder.first else blocks.first_token("head.first", states)


def _max(blocks: Blocks, states: str, encoder: EncoderTensors) -> str:
    """Take the largest value over tokens, float32 [batch, 1, hidden]; padding has the least there is."""
    from edgeroberta.roberta.blocks import onnx_type

    graph = blocks.graph
    last = graph.constant("index.-1", [-1], np.int64)
    second = graph.constant("index.1", [1], np.int64)
    kept = graph.node("Cast", (encoder.mask,), "head.kept", to=onnx_type(np.bool_))
    column = graph.node("Unsqueeze", (kept, last), "head.column")
    least = graph.constant("head.least", np.finfo(np.float32).min, np.float32)
    masked = graph.node("Where", (column, states, least), "head.masked")
    if graph.opset < 18:  # from then on axes are an input
        return graph.node("ReduceMax", (masked,), "head.max", axes=[1], keepdims=1)
    return graph.node("ReduceMax", (masked, second), "head.max", keepdims=1)


_POOLINGS: Mapping[str, Callable[[Blocks, str, EncoderTensors], str]] = {
    "mean": _mean,
    "cls": _cls,
    "max": _max,
}


def _normalized(blocks: Blocks, x: str) -> str:
    """Divide float32 [batch, hidden] by its length."""
    graph = blocks.graph
    last = graph.constant("index.-1", [-1], np.int64)
    squares = graph.node("Mul", (x, x), "head.squares")
    total = graph.node("ReduceSum", (squares, last), "head.square", keepdims=1)
    length = graph.node("Sqrt", (total,), "head.root")
    least = graph.constant("head.least_length", _LEAST, np.float32)
    return graph.node("Div", (x, graph.node("Max", (length, least), "head.length")), "head.normalized")


class SentenceEmbeddingHead(PlainHead):
    """What sentence-transformers puts behind an encoder, an ``AutoModel`` of transformers."""

    title = "sentence embeddings"
    suffix = "Model"
    reads = gives = ""
    states_problem = False
    foreign: tuple[ForeignTensors, ...] = (
        ForeignTensors(
            r"^(classifier|qa_outputs)\.",
            "is a part of another task's head, which an embedding model does not have",
            "save the encoder alone, model.base_model.save_pretrained(…), with the tokenizer files beside it",
        ),
    )

    def __init__(self, how: SentenceEmbedding) -> None:
        self.how = how
        self.first_token_only = how.pooling == "cls"

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List nothing."""
        return iter(())

    def load(self, tensors: HeadTensors) -> SentenceEmbeddingWeights:
        """Make its weights, of which there are none."""
        return SentenceEmbeddingWeights(self.how, tensors.words.shape[1])

    def read(self, output: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """Pool the states of the last layer, and normalize, float [B, hidden]."""
        from torch.nn import functional

        found = pool(self.how.pooling, output.last_hidden_state, mask)
        return functional.normalize(found, p=2, dim=-1) if self.how.normalize else found


def pool(pooling: str, states: Tensor, mask: Tensor) -> Tensor:
    """Pool states float [B, S, hidden] with an attention mask int64 [B, S] to float [B, hidden]."""
    if pooling == "cls":
        return states[:, 0]
    kept = mask.unsqueeze(-1).to(states.dtype)
    if pooling == "max":
        return states.masked_fill(kept == 0, float("-inf")).amax(dim=1)
    return (states * kept).sum(dim=1) / kept.sum(dim=1).clamp(min=1e-9)


#: A head for each way, by what :attr:`edgeroberta.tasks.Task.head` calls it.
ROWS: dict[str, Head] = {
    f"sentence-embedding/{pooling}{'+normalize' if normalize else ''}": SentenceEmbeddingHead(
        SentenceEmbedding(pooling, normalize)
    )
    for pooling in POOLINGS
    for normalize in (False, True)
}
