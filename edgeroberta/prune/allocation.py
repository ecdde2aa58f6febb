"""Which units stay: the most important ones that one global budget pays for, uneven over the layers.

Within a layer and a kind the most important units stay, so a layer's choice is two numbers. Which numbers
each layer gets is a :mod:`~edgeroberta.prune.knapsack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from edgeroberta.errors import UsageError
from edgeroberta.prune import knapsack
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.roberta.surgery import KeptUnits, check_layers

Floats = npt.NDArray[np.float64]

#: Neurons stay in multiples of this. Int8 kernels work on blocks of 16 to 64 channels, and a vector of 512
#: bits holds 64 int8: a ragged rest is computed as if it were full.
GRANULARITY = 32
#: What rounding of floats may add to a sum of costs.
_SLACK = 1e-9


class Cost(Protocol):
    """What an encoder costs, in any unit."""

    @property
    def fixed(self) -> float:
        """What the model costs beside its layers."""

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return what one layer costs: the one at place ``index`` of ``depth`` layers."""


@dataclass(frozen=True, eq=False)
class _LayerOption:
    """What one layer may become."""

    shape: LayerShape  # its heads and neurons
    cost: float
    value: float  # importance that it keeps


def allocate(
    importance: Importance,
    cost: Cost,
    budget: float,
    *,
    layers: Sequence[int] | Literal["auto"] | None = None,
    granularity: int = GRANULARITY,
) -> KeptUnits:
    """Keep the units of most importance that a budget pays for, heads and neurons together.

    ``budget``: what the whole model may cost, in the unit of ``cost``. ``layers``: layers that stay, rising;
    None keeps all. ``auto`` lets the least important layers go as long as the units that the budget then pays
    for elsewhere are worth more. ``granularity``: neurons of a layer stay in multiples of this, and at least
    so many. Returns what stays; its cost is at most the budget. Raises UsageError: even the smallest layers
    cost more than the budget, or there are no such layers.
    """
    depth = len(importance.heads)
    if layers != "auto":
        chosen = tuple(range(depth)) if layers is None else check_layers(layers, depth)
        return _of_layers(importance, cost, budget, chosen, granularity)
    lines = [_most_important(importance, count) for count in range(depth, 0, -1)]
    possible = [line for line in lines if least(importance, cost, line, granularity) <= budget]
    found = [_of_layers(importance, cost, budget, line, granularity) for line in possible or lines[-1:]]
    return max(found, key=lambda kept: kept_importance(importance, kept))


def least(importance: Importance, cost: Cost, layers: Sequence[int], granularity: int = GRANULARITY) -> float:
    """Return the least that given layers can be made to cost: one head and the fewest neurons each."""
    return cost.fixed + knapsack.least(_options(importance, cost, layers, granularity))


def allocate_counts(
    importance: Importance,
    *,
    heads: int,
    neurons: int,
    layers: Sequence[int] | None = None,
    granularity: int = GRANULARITY,
) -> KeptUnits:
    """Keep a number of heads and a number of neurons, each kind wherever they are most important.

    ``heads``: heads to keep over all layers that stay; at least one per layer stays all the same.
    ``neurons``: neurons to keep likewise; rounded down to whole blocks. ``layers``: layers that stay, rising;
    None keeps all.
    """
    depth = len(importance.heads)
    chosen = tuple(range(depth)) if layers is None else check_layers(layers, depth)
    return _kept(
        importance,
        chosen,
        _spread([importance.heads[layer] for layer in chosen], heads, 1),
        _spread([importance.neurons[layer] for layer in chosen], neurons, granularity),
    )


def allocate_evenly(
    importance: Importance,
    *,
    heads: float,
    neurons: float,
    whole: Sequence[LayerShape],
    layers: Sequence[int] | None = None,
    granularity: int = GRANULARITY,
) -> KeptUnits:
    """Keep the same part of the units in every layer, the most important of each; for comparison."""
    shapes = []
    for layer in whole:
        block = min(granularity, layer.intermediate)
        blocks = max(round(neurons * layer.intermediate / block), 1)
        shapes.append(LayerShape(max(round(heads * layer.heads), 1), min(blocks * block, layer.intermediate)))
    return allocate_shapes(importance, shapes, layers=layers)


def allocate_shapes(
    importance: Importance, shapes: Sequence[LayerShape], *, layers: Sequence[int] | None = None
) -> KeptUnits:
    """Keep given numbers of heads and neurons in each layer that stays, the most important."""
    depth = len(importance.heads)
    chosen = tuple(range(depth)) if layers is None else check_layers(layers, depth)
    return _kept(importance, chosen, [s.heads for s in shapes], [s.intermediate for s in shapes])


def kept_importance(importance: Importance, kept: KeptUnits) -> float:
    """Return the sum of the scores of all units that stay."""
    total = 0.0
    for layer, heads, neurons in zip(kept.layers, kept.heads, kept.neurons, strict=True):
        total += float(importance.heads[layer][list(heads)].sum())
        total += float(importance.neurons[layer][list(neurons)].sum())
    return total


def cost_of(cost: Cost, shapes: Sequence[LayerShape]) -> float:
    """Return what a model of these layers costs."""
    each = [cost.layer(index, len(shapes), shape) for index, shape in enumerate(shapes)]
    return cost.fixed + sum(each)


def _of_layers(
    importance: Importance, cost: Cost, budget: float, layers: Sequence[int], granularity: int
) -> KeptUnits:
    options = _options(importance, cost, layers, granularity)
    floor = cost.fixed + knapsack.least(options)
    if floor > budget * (1 + _SLACK):
        raise UsageError(
            f"the budget of {budget:.6g} is below {floor:.6g}, the least that {len(layers)} layers of one"
            f" head and {granularity} neurons cost",
            hint="raise the budget, or keep fewer layers",
            code="recipe.budget-too-small",
        )
    shapes = [option.shape for option in knapsack.choose(options, budget - cost.fixed)]
    return _kept(importance, layers, [s.heads for s in shapes], [s.intermediate for s in shapes])


def _options(
    importance: Importance, cost: Cost, layers: Sequence[int], granularity: int
) -> list[list[_LayerOption]]:
    """List what each layer may become: any number of heads with any number of blocks of neurons."""
    result = []
    for place, layer in enumerate(layers):
        heads, neurons = _gathered(importance.heads[layer]), _gathered(importance.neurons[layer])
        options = []
        for count in range(1, len(heads)):
            for width in _widths(len(neurons) - 1, granularity):
                shape = LayerShape(count, width)
                value = float(heads[count] + neurons[width])
                options.append(_LayerOption(shape, cost.layer(place, len(layers), shape), value))
        result.append(options)
    return result


def _spread(scores: Sequence[Floats], wanted: int, block: int) -> list[int]:
    """Share out units over layers in blocks, one block each first, then the best block anywhere."""
    blocks = []
    counts = [min(block, len(layer)) for layer in scores]
    left = wanted - sum(counts)
    for index, layer in enumerate(scores):
        gathered = _gathered(layer)
        for start in range(counts[index], len(layer), block):
            stop = min(start + block, len(layer))
            # per unit, so that a short last block is not taken for a bad one
            blocks.append(((gathered[stop] - gathered[start]) / (stop - start), -index, -start, stop - start))
    for _, index, start, size in sorted(blocks, reverse=True):
        # a layer's blocks are taken in turn: a short last one that fits is no use without those before it
        if size <= left and counts[-index] == -start:
            counts[-index] += size
            left -= size
    return counts


def _kept(
    importance: Importance, layers: Sequence[int], heads: Sequence[int], neurons: Sequence[int]
) -> KeptUnits:
    return KeptUnits(
        tuple(layers),
        tuple(_best(importance.heads[layer], count) for layer, count in zip(layers, heads, strict=True)),
        tuple(_best(importance.neurons[layer], count) for layer, count in zip(layers, neurons, strict=True)),
    )


def _best(scores: Floats, count: int) -> tuple[int, ...]:
    """Return the indices of the highest scores, rising; of equal ones the first count."""
    return tuple(sorted(int(index) for index in np.argsort(-scores, kind="stable")[:count]))


def _gathered(scores: Floats) -> Floats:
    """Return what the best 0, 1, 2 … units are worth together, float64[n + 1]."""
    return np.concatenate([np.zeros(1), np.cumsum(-np.sort(-scores))])


def _widths(full: int, granularity: int) -> list[int]:
    """Return the numbers of neurons that a layer may keep."""
    return [*range(min(granularity, full), full, granularity), full]


def _most_important(importance: Importance, count: int) -> tuple[int, ...]:
    """Return the layers whose units are worth most together, rising."""
    pairs = zip(importance.heads, importance.neurons, strict=True)
    worth = np.array([heads.sum() + neurons.sum() for heads, neurons in pairs])
    return _best(worth, count)
