"""A token for each mask: dense, activation, norm, and a decoder that is the table of word embeddings.

Everything is computed at the mask tokens alone. A decoder that is tied to the embeddings is not stored a
second time: the graph's matmul reads the transposed table, in int8 too, whose scales per row are then scales
per output.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta.errors import CheckpointError
from edgeroberta.roberta.arrays import Linear
from edgeroberta.roberta.blocks import onnx_type
from edgeroberta.roberta.heads import masked_positions
from edgeroberta.roberta.heads.head import (
    EncoderTensors,
    ForeignTensors,
    HeadOutput,
    HeadTensors,
    PlainHead,
)
from edgeroberta.runtime.session import LOG_PROBABILITIES
from edgeroberta.tasks import masked

if TYPE_CHECKING:
    from torch import Tensor

    from edgeroberta.roberta.arrays import LayerNorm
    from edgeroberta.roberta.blocks import Blocks

#: More than any place in a text, and little enough that float32 holds the sum of both.
_HIGH = 1e6


@dataclass(frozen=True)
class MaskedLMWeights:
    """Dense, activation, norm, decoder, at mask tokens."""

    dense: Linear
    norm: LayerNorm
    decoder: Linear  # [hidden, vocabulary]
    tied: bool  # whether the decoder is the transposed table of word embeddings
    mask_id: int
    activation: str
    epsilon: float
    longest: int  # most tokens of a text

    @property
    def outputs(self) -> int:
        """Number of outputs per mask."""
        return masked.width(len(self.decoder.bias))

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph.

        Its first output is float [masks, outputs], see :mod:`edgeroberta.tasks.masked`; [batch,
        :data:`~edgeroberta.tasks.masked.MOST_MASKS`, outputs] where shapes may not depend on the texts.
        """
        if encoder.fixed:
            packed = self._packed(blocks, self._scores(blocks, self._first_states(blocks, encoder))[1])
            return (HeadOutput(packed, ("batch", masked.MOST_MASKS, self.outputs)),)
        places = self._places(blocks, encoder)
        states = blocks.graph.node("GatherND", (encoder.states, places), "head.states")
        logits, scores = self._scores(blocks, states)
        rows = self._rows(blocks, "head.rows", self._packed(blocks, scores), self.outputs)
        vocabulary = len(self.decoder.bias)
        every = self._rows(blocks, "head.every", scores, vocabulary)
        found = (
            HeadOutput(rows, ("masks", self.outputs), "masked_tokens"),
            HeadOutput(every, ("masks", vocabulary), LOG_PROBABILITIES),
        )
        if not encoder.interchange:
            return found
        spread = HeadOutput(
            self._of_all_tokens(blocks, encoder, places, logits), ("batch", "length", vocabulary)
        )
        return (*found, spread)

    def _places(self, blocks: Blocks, encoder: EncoderTensors) -> str:
        """Find the mask tokens, int64 [1, masks, 2]: the text of each, and its place there.

        One dimension more than needed, as in the other heads: ONNX Runtime has no int8 form of a Gemm.
        """
        graph = blocks.graph
        found = graph.node("NonZero", (self._is_mask(blocks, encoder),), "head.found")
        places = graph.node("Transpose", (found,), "head.found.rows", perm=(1, 0))
        return graph.node("Unsqueeze", (places, graph.constant("index.0", [0], np.int64)), "head.places")

    def _first_states(self, blocks: Blocks, encoder: EncoderTensors) -> str:
        """Gather the states of the first mask tokens of each text, and of others where it has fewer.

        The largest of ``high * is_mask - place``: mask tokens before all others, in the order of the text.
        """
        graph, zero = blocks.graph, blocks.graph.constant("index.0", [0], np.int64)
        found = graph.node(
            "Cast", (self._is_mask(blocks, encoder),), "head.is_mask.number", to=onnx_type(np.float32)
        )
        high = graph.node("Mul", (found, graph.constant("head.high", _HIGH, np.float32)), "head.is_mask.high")
        table = graph.constant("head.descending", -np.arange(self.longest), np.float32)
        length = graph.node("Shape", (encoder.ids,), "head.length", start=1, end=2)
        falling = graph.node("Slice", (table, zero, length, zero), "head.falling")
        rank = graph.node("Add", (high, falling), "head.rank")
        # A text may have fewer tokens than there is room for masks.
        ends = graph.constant("head.pads", [0, 0, 0, masked.MOST_MASKS], np.int64)
        lowest = graph.constant("head.lowest", -_HIGH, np.float32)
        rank = graph.node("Pad", (rank, ends, lowest), "head.rank.padded")
        count = graph.constant("head.masks", [masked.MOST_MASKS], np.int64)
        names = ("head.first.rank", "head.first.any")
        best, first = graph.nodes("TopK", (rank, count), "head.first", names, axis=-1)
        # What stands behind the text is replaced by its first token. Not by its last one: TensorRT would copy
        # the length to the GPU in a layer of its own.
        inside = graph.node(
            "Greater", (best, graph.constant("head.low", -_HIGH / 2, np.float32)), "head.inside"
        )
        kept = graph.node("Cast", (inside,), "head.inside.number", to=onnx_type(np.int64))
        first = graph.node("Mul", (first, kept), "head.first.place")
        last = graph.constant("index.-1", [-1], np.int64)
        places = graph.node("Unsqueeze", (first, last), "head.places")
        return graph.node("GatherND", (encoder.states, places), "head.states", batch_dims=1)

    def _is_mask(self, blocks: Blocks, encoder: EncoderTensors) -> str:
        mask = blocks.graph.constant("head.mask_id", self.mask_id, np.int64)
        return blocks.graph.node("Equal", (encoder.ids, mask), "head.is_mask")

    def _scores(self, blocks: Blocks, states: str) -> tuple[str, str]:
        """Return logits and log-probabilities, float32 [..., masks, vocabulary], of states."""
        dense = blocks.linear("head.dense", states, self.dense)
        active = blocks.activation("head.act", dense, kind=self.activation)
        normed = blocks.layer_norm("head.norm", self.norm, active, epsilon=self.epsilon)
        write = blocks.tied_linear if self.tied else blocks.linear
        logits = write("head.decoder", normed, self.decoder)
        # Sums over the vocabulary are more than half precision can hold.
        wide = blocks.graph.node("Cast", (logits,), "head.logits", to=onnx_type(np.float32))
        return wide, blocks.graph.node("LogSoftmax", (wide,), "head.scores", axis=-1)

    def _packed(self, blocks: Blocks, scores: str) -> str:
        """Take the best tokens of each mask, float32 [..., masks, outputs]."""
        graph = blocks.graph
        k = graph.constant("head.k", [self.outputs // 2], np.int64)
        names = ("head.best.score", "head.best.token")
        best, tokens = graph.nodes("TopK", (scores, k), "head.best", names, axis=-1)
        numbers = graph.node("Cast", (tokens,), "head.best.number", to=onnx_type(np.float32))
        return graph.node("Concat", (best, numbers), "head.packed", axis=-1)

    def _rows(self, blocks: Blocks, name: str, x: str, width: int) -> str:
        shape = blocks.graph.constant(f"shape.-1,{width}", [-1, width], np.int64)
        return blocks.graph.node("Reshape", (x, shape), name)

    def _of_all_tokens(self, blocks: Blocks, encoder: EncoderTensors, places: str, logits: str) -> str:
        """Lay logits where their masks are, float32 [batch, length, vocabulary]; they are 0 elsewhere.

        It is what Optimum's classes read, of which the ``fill-mask`` pipeline reads masks alone.
        """
        graph = blocks.graph
        vocabulary = graph.constant("head.vocabulary", [len(self.decoder.bias)], np.int64)
        size = graph.node("Shape", (encoder.ids,), "head.all.texts")
        shape = graph.node("Concat", (size, vocabulary), "head.all.shape", axis=0)
        zeros = graph.node("Expand", (graph.constant("head.zero", 0.0, np.float32), shape), "head.all.zeros")
        rows = self._rows(blocks, "head.places.rows", places, 2)
        values = self._rows(blocks, "head.logits.rows", logits, len(self.decoder.bias))
        return graph.node("ScatterND", (zeros, rows, values), "head.all")


class MaskedLM(PlainHead):
    """The head of ``RobertaForMaskedLM``, or of another family under its own names."""

    title = "masked words"
    suffix = "ForMaskedLM"
    first_token_only = False
    states_problem = False
    foreign: tuple[ForeignTensors, ...] = ()

    def __init__(
        self,
        reads: str = "lm_head.dense",
        norm: str = "lm_head.layer_norm",
        bias: str = "lm_head.bias",
        decoder: str = "lm_head.decoder",
        activation: str | None = "gelu",
    ) -> None:
        """``activation``: what stands before the norm; None for the encoder's own."""
        self.reads, self.gives = reads, decoder
        self.norm, self._bias, self._activation = norm, bias, activation

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of the one linear layer that is not the embeddings."""
        yield self.reads, hidden, hidden

    def others(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List name and shape of norm and bias."""
        yield f"{self.norm}.weight", (hidden,)
        yield f"{self.norm}.bias", (hidden,)
        yield self._bias, (vocabulary,)

    def optional(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List name and shape of a decoder, which is stored where it is not tied, or all the same."""
        yield f"{self.gives}.weight", (vocabulary, hidden)
        yield f"{self.gives}.bias", (vocabulary,)

    def load(self, tensors: HeadTensors) -> MaskedLMWeights:
        """Make its weights.

        A decoder that is stored and differs from the embeddings is one of its own, whatever the config says,
        as transformers 5.24 has it; a bias that is stored twice is the decoder's.
        """
        own, config = tensors.stored(f"{self.gives}.weight"), tensors.config
        if own is None and not config.tied:
            raise CheckpointError(
                f"the weights lack {self.gives}.weight, and the config says that it is not the embeddings",
                hint='write "tie_word_embeddings": true into config.json if it is',
            )
        if config.mask_id is None:
            raise CheckpointError(
                "the tokenizer has no mask token, so there is nothing that stands for a masked word",
                hint="name a model that was trained to fill masks, with its own tokenizer",
                code="checkpoint.no-mask",
            )
        bias = tensors.stored(f"{self.gives}.bias")
        bias = tensors.tensor(self._bias) if bias is None else bias
        tied = own is None or bool(np.array_equal(own, tensors.words))
        table = tensors.words if own is None or tied else own
        return MaskedLMWeights(
            dense=tensors.linear(self.reads),
            norm=tensors.norm(self.norm),
            decoder=Linear(table.T, bias),
            tied=tied,
            mask_id=config.mask_id,
            activation=self._activation or config.activation,
            epsilon=config.layer_norm_eps,
            longest=config.max_length,
        )

    def run(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Run a model at its masks, and return what the graph gives, float [masks, outputs].

        ``model.config.mask_token_id`` says which token is the mask.
        """
        logits = self.logits(model, ids, mask, wrapped=wrapped)
        return masked_positions.packed(logits, masked.width(logits.shape[-1]) // 2)

    def logits(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Run a model at its masks, and return logits, float [masks, vocabulary]; see :meth:`run`."""
        places = ids == model.config.mask_token_id
        return masked_positions.logits(model, ids, mask, places, wrapped=wrapped)
