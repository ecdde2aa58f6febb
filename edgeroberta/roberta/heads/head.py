"""What a head is to everything else: its class in transformers, its tensors, and what the graph ends with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from edgeroberta.roberta.arrays import Array, LayerNorm, Linear
    from edgeroberta.roberta.blocks import Blocks

#: Where heads of fine-tuned models are in those of transformers.
MODULES = ("classifier", "qa_outputs")


@dataclass(frozen=True)
class ForeignTensors:
    """Tensors of another head than this one."""

    names: str  # pattern of their names
    what: str  # what they are
    hint: str


class EncoderFacts(Protocol):
    """What a head may ask of an :class:`edgeroberta.roberta.config.EncoderConfig`."""

    @property
    def activation(self) -> str:
        """``gelu`` (erf), ``gelu_tanh`` or ``relu``."""

    @property
    def layer_norm_eps(self) -> float:
        """Epsilon of every layer norm."""

    @property
    def max_length(self) -> int:
        """Most tokens of a text."""

    @property
    def mask_id(self) -> int | None:
        """Id of the mask token; None where nobody asks for masked words, or there is none."""

    @property
    def tied(self) -> bool:
        """Whether a decoder that is not stored is the word embeddings."""


class HeadTensors(Protocol):
    """Where a head gets its weights from."""

    @property
    def config(self) -> EncoderFacts:
        """What is known of the encoder."""

    @property
    def words(self) -> Array:
        """Word embeddings, float32 [vocabulary, hidden]."""

    def linear(self, name: str) -> Linear:
        """Return a linear layer by its name."""

    def norm(self, name: str) -> LayerNorm:
        """Return a layer norm by its name."""

    def tensor(self, name: str) -> Array:
        """Return a tensor by its name."""

    def stored(self, name: str) -> Array | None:
        """Return a tensor that need not be there; None where it is not."""


@dataclass(frozen=True)
class EncoderTensors:
    """Tensors of a graph, by name, that its end may be made of."""

    ids: str  # int64 [batch, length]
    mask: str  # int64 [batch, length]
    states: str  # output of the last layer, float [batch, length, hidden]
    first: bool  # whether ``states`` has the first token alone
    #: whether to add outputs that other programs look for, such as Optimum's classes; engines on devices run
    #: without them
    interchange: bool
    fixed: bool = False  # whether shapes may depend on those of the inputs alone, not on what is in them


@dataclass(frozen=True)
class HeadOutput:
    """One output of a graph."""

    tensor: str  # name of the tensor, float in the type of the body
    shape: tuple[str | int, ...]
    name: str = "logits"  # what it is called in the graph, where it is float32


class HeadWeights(Protocol):
    """Weights of a head, of which the end of a graph is written."""

    @property
    def outputs(self) -> int:
        """Number of outputs per unit."""

    def write(self, blocks: Blocks, encoder: EncoderTensors) -> tuple[HeadOutput, ...]:
        """Write the end of the graph; the first of its outputs is what the runtime reads."""


class Head(Protocol):
    """A row of :data:`edgeroberta.roberta.heads.HEADS`: one kind of head."""

    title: str  #: what such a model is for, in words
    suffix: str  #: how its classes in transformers end
    #: whether it reads the first token alone, so that the last layer need not compute the others
    first_token_only: bool
    reads: str  #: name of the linear layer that reads the encoder's states; empty where there is none
    gives: str  #: name of the linear layer that gives the outputs; the same where there is one or none
    states_problem: bool  #: whether ``problem_type`` in the config tells one task of such models from another
    foreign: tuple[ForeignTensors, ...]  #: tensors by which another head is known

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layers."""

    def others(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List name and shape of its further tensors."""

    def optional(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List name and shape of tensors that some models store, and that others have by rule."""

    def load(self, tensors: HeadTensors) -> HeadWeights:
        """Make its weights."""

    def run(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Run a model of transformers, and return what the graph gives; see :func:`.answers`."""

    def logits(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Run a model of transformers, and return what losses are computed of; see :func:`.logits`."""

    def read(self, output: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """Take of what a model of transformers returns that which the graph gives, float [B, …, outputs].

        ``ids``, ``mask``: int64 [B, S], what the model was given.
        """


class PlainHead:
    """A head with nothing but linear layers, whose class in transformers returns ``logits``."""

    def others(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List nothing."""
        return iter(())

    def optional(self, hidden: int, vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        """List nothing."""
        return iter(())

    def run(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Run the model, and read its output."""
        output = (model if wrapped is None else wrapped)(input_ids=ids, attention_mask=mask)
        return self.read(output, ids, mask)

    def logits(self, model: Any, ids: Tensor, mask: Tensor, *, wrapped: Any = None) -> Tensor:
        """Return the same."""
        return self.run(model, ids, mask, wrapped=wrapped)

    def read(self, output: Any, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = output.logits
        return logits
