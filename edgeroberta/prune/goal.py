"""What pruning is to end at, and how far each step goes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgeroberta.errors import UsageError
from edgeroberta.prune import allocation
from edgeroberta.prune.allocation import Cost
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.roberta.surgery import KeptUnits, check_layers, choose_layers
from edgeroberta.tasks import Word

Layers = Literal["all", "auto"] | int | tuple[int, ...]


class PruningSchedule(Word):
    """How much of the pruning each of several steps does."""

    CUBIC = "cubic"  #: much at first, little at the end (Zhu and Gupta, arXiv:1710.01878)
    LINEAR = "linear"  #: the same in every step

    def after(self, step: int, steps: int) -> float:
        """Return which part of the pruning is done after ``step`` of ``steps``, from 1."""
        left = 1 - step / steps
        return 1 - left**3 if self is PruningSchedule.CUBIC else 1 - left


@dataclass(frozen=True)
class KeepRatios:
    """Parts of the heads and of the neurons to keep, each over all layers that stay."""

    heads: float  # above 0, at most 1
    neurons: float  # likewise
    evenly: bool = False  # keep the same part in each layer


@dataclass(frozen=True, eq=False)
class CostRatio:
    """A part of what the model costs."""

    cost: Cost  # what is paid
    part: float  # above 0, at most 1


@dataclass(frozen=True)
class TargetShapes:
    """What each layer that stays is to be."""

    shapes: tuple[LayerShape, ...]  # its heads and neurons, the first layer first


@dataclass(frozen=True, eq=False)
class Goal:
    """What pruning is to end at."""

    source: EncoderShape  # the model before the first step
    size: KeepRatios | CostRatio | TargetShapes  # what to keep of it
    layers: Layers = "all"  # layers to keep: all, how many, which, or as many as the budget does best with
    granularity: int = allocation.GRANULARITY  # neurons of a layer stay in multiples of this

    def choose(self, importance: Importance, done: float, stays: Sequence[int] | None) -> KeptUnits:
        """Choose what of the model as it stands stays in one step.

        ``done``: which part of the pruning is done after this step; 1 for the last one. ``stays``: None in
        the first step, which is the one in which whole layers go; then the source layers that are left.
        Raises UsageError: the layers do not exist, or even the smallest layers cost more than the budget.
        """
        layers = self._layers(importance) if stays is None else tuple(range(len(stays)))
        if isinstance(self.size, CostRatio):
            whole = allocation.cost_of(self.size.cost, self.source.layers)
            budget = whole * _toward(self.size.part, done)
            return allocation.allocate(
                importance, self.size.cost, budget, layers=layers, granularity=self.granularity
            )
        if isinstance(self.size, TargetShapes):
            return self._exact(importance, self.size.shapes, layers, done, layers if stays is None else stays)
        heads, neurons = _toward(self.size.heads, done), _toward(self.size.neurons, done)
        shapes = [self.source.layers[layer] for layer in (layers if stays is None else stays)]
        if self.size.evenly:
            return allocation.allocate_evenly(
                importance,
                heads=heads,
                neurons=neurons,
                whole=shapes,
                layers=layers,
                granularity=self.granularity,
            )
        return allocation.allocate_counts(
            importance,
            heads=round(heads * sum(shape.heads for shape in shapes)),
            neurons=round(neurons * sum(shape.intermediate for shape in shapes)),
            layers=layers,
            granularity=self.granularity,
        )

    def _exact(
        self,
        importance: Importance,
        shapes: tuple[LayerShape, ...],
        layers: Sequence[int] | str,
        done: float,
        origin: Sequence[int] | str,
    ) -> KeptUnits:
        """Go part of the way from each source layer in ``origin`` to its shape; ``layers`` stay."""
        full = [self.source.layers[int(layer)] for layer in origin]
        check_shapes(shapes, full)
        toward = [
            LayerShape(
                whole.heads - int((whole.heads - shape.heads) * done),
                whole.intermediate - int((whole.intermediate - shape.intermediate) * done),
            )
            for shape, whole in zip(shapes, full, strict=True)
        ]
        return allocation.allocate_shapes(importance, toward, layers=[int(layer) for layer in layers])

    def _layers(self, importance: Importance) -> tuple[int, ...]:
        depth = len(self.source.layers)
        if self.layers == "all":
            return tuple(range(depth))
        if isinstance(self.layers, tuple):
            return check_layers(self.layers, depth)
        if isinstance(self.layers, int):
            return choose_layers(depth, self.layers)
        if not isinstance(self.size, CostRatio):
            raise UsageError(
                "layers are chosen by a budget only", hint="give a budget, or say how many layers"
            )
        budget = allocation.cost_of(self.size.cost, self.source.layers) * self.size.part
        kept = allocation.allocate(
            importance, self.size.cost, budget, layers="auto", granularity=self.granularity
        )
        return kept.layers

    def least(self, importance: Importance) -> float | None:
        """Return the least part of its cost that the model can be brought to; None without a budget."""
        if not isinstance(self.size, CostRatio):
            return None
        layers = (0,) if self.layers == "auto" else self._layers(importance)
        whole = allocation.cost_of(self.size.cost, self.source.layers)
        return allocation.least(importance, self.size.cost, layers, self.granularity) / whole


def _toward(part: float, done: float) -> float:
    return 1 - (1 - part) * done


def check_shapes(shapes: Sequence[LayerShape], full: Sequence[LayerShape]) -> None:
    """Refuse shapes that are not one for each layer, or larger than their layer."""
    if len(full) != len(shapes):
        raise UsageError(f"{len(shapes)} shapes for {len(full)} layers", hint="give one for each layer")
    for shape, whole in zip(shapes, full, strict=True):
        if shape.heads > whole.heads or shape.intermediate > whole.intermediate:
            raise UsageError(
                f"a layer of {whole.heads} heads and {whole.intermediate} neurons cannot keep "
                f"{shape.heads} and {shape.intermediate}"
            )
