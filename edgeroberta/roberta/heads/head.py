"""What a head is to everything else: its class in transformers, its tensors, and what the graph ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edgeroberta.roberta.arrays import Linear
    from edgeroberta.roberta.blocks import Blocks

#: Where a head's modules are in a model of transformers.
MODULE = "classifier"


@dataclass(frozen=True)
class ForeignTensors:
    """Tensors of another head than this one."""

    names: str  # pattern of their names
    what: str  # what they are
    hint: str


class HeadWeights(Protocol):
    """Weights of a head, of which the end of a graph is written."""

    @property
    def outputs(self) -> int:
        """Number of outputs per unit."""

    def write(self, blocks: Blocks, states: str, *, first: bool) -> tuple[str, tuple[str | int, ...]]:
        """Write the end of the graph.

        ``states``: name of the last layer's output, float [batch, length, hidden]. ``first``: it has the
        first token alone. Returns the name of the outputs, float, and their shape.
        """


class Head(Protocol):
    """A row of :data:`edgeroberta.roberta.heads.HEADS`: one kind of head."""

    title: str  #: what such a model is for, in words
    suffix: str  #: how its classes in transformers end
    #: whether it reads the first token alone, so that the last layer need not compute the others
    first_token_only: bool
    reads: str  #: name of the linear layer that reads the encoder's states
    gives: str  #: name of the linear layer that gives the outputs; the same where there is one
    states_problem: bool  #: whether ``problem_type`` in the config tells one task of such models from another
    foreign: tuple[ForeignTensors, ...]  #: tensors by which another head is known

    def linears(self, hidden: int, outputs: int) -> Iterator[tuple[str, int, int]]:
        """List name, inputs and outputs of its linear layers."""

    def load(self, linear: Callable[[str], Linear]) -> HeadWeights:
        """Make its weights of its linear layers, each by its name."""
