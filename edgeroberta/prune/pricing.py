"""What a model costs in parameters, products or seconds, and what a budget is counted in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeroberta import distributed
from edgeroberta.context import Context
from edgeroberta.errors import EdgeRobertaError, RecipeError, UsageError
from edgeroberta.latency.table import LatencyTable
from edgeroberta.prune.allocation import Cost, cost_of
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.storage import paths

if TYPE_CHECKING:
    from edgeroberta.latency.table import LatencyTable
    from edgeroberta.prune.settings import PruneBudget
    from edgeroberta.targets import Target

#: Where a run keeps the table it has begun with, so that one that resumes counts as before.
TABLE_FILE = "latency.json"


def cost_for(budget: PruneBudget, context: Context, shape: EncoderShape) -> Cost:
    """Return what a budget is counted in.

    ``context``: the run; products and seconds are those of a text of its training texts' mean length, seconds
    those of the first installed engine of its target. Raises RecipeError: the named latency table cannot be
    read, or is of other models, texts or engines; UnavailableError: no engine of the target is installed;
    EngineError: the engine fails.
    """
    if budget.params is not None:
        return ParameterCost(shape)
    lengths = _lengths(context, shape)
    if budget.macs is not None:
        return MacCost(shape, _mean(lengths))
    ranks = distributed.current()
    table: LatencyTable = ranks.share(_table(budget, context, shape) if ranks.main else None)
    if budget.table is None:
        return LatencyCost(table, _mean(table.padded(lengths)))
    try:
        cost = LatencyCost(table, _mean(table.padded(lengths)))
        table.predict(shape, [cost.length])
    except UsageError as error:
        raise RecipeError(error.what, where="prune.budget.table", hint=error.hint) from error
    return cost


def notes(cost: Cost, before: Sequence[LayerShape], after: Sequence[LayerShape]) -> dict[str, Any]:
    """Return what a model cost before and after pruning, and how seconds were measured, as JSON."""
    found: dict[str, Any] = {"before": cost_of(cost, before), "after": cost_of(cost, after)}
    if isinstance(cost, (MacCost, LatencyCost)):
        found["length"] = cost.length
    if isinstance(cost, LatencyCost):
        table = cost.table
        found |= {"engine": table.engine, "version": table.version, "device": table.device}
        found["threads"] = table.threads
    return found


def _lengths(context: Context, shape: EncoderShape) -> list[int]:
    from edgeroberta.latency.request import sample_texts
    from edgeroberta.training import batching

    texts = sample_texts(context.data.train.read())
    tokens = batching.tokenize(context.checkpoint, texts, max_length=shape.max_positions - 2)
    lengths: list[int] = tokens.lengths.tolist()
    return lengths


def _mean(lengths: Any) -> int:
    return max(round(float(np.mean(lengths))), 1)


def _table(budget: PruneBudget, context: Context, shape: EncoderShape) -> LatencyTable:
    """Read the named table, or measure one on this machine, or find the stored one."""
    if budget.table is not None:
        return named_table(budget.table, context.target)
    from edgeroberta.latency.measurement import measure
    from edgeroberta.latency.request import LatencyRequest, sample_texts

    begun = context.scratch / TABLE_FILE
    if begun.is_file():
        return LatencyTable.load(begun)
    model, texts = context.checkpoint, sample_texts(context.data.train.read())
    request = LatencyRequest(shape, model.config.activation, model, context.target.name, texts)
    table = measure(request, progress=context.progress)
    table.save(begun)
    return table


def named_table(name: str, target: Target) -> LatencyTable:
    """Read the latency table that a recipe names."""
    file, where = paths.named(name), "prune.budget.table"
    try:
        table = LatencyTable.load(file)
    except OSError as error:
        raise RecipeError(f"{file} cannot be read ({error.strerror or error})", where=where) from error
    except EdgeRobertaError as error:
        raise RecipeError(f"{error.where}: {error.what}", where=where, hint=error.hint) from error
    if table.engine not in target.engines:
        engines = ", ".join(target.engines)
        raise RecipeError(
            f"{file} is of {table.engine}; the target {target.name} runs {engines}",
            where=where,
            hint="measure one with 'edgeroberta latency' for this target",
        )
    return table


@dataclass(frozen=True)
class ParameterCost:
    """Parameters of the layers; embeddings and head stay what they are and are not counted."""

    shape: EncoderShape  # the model before pruning
    fixed: float = 0.0  # nothing

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the parameters of one layer."""
        return float(self.shape.layer_parameters(shape))


@dataclass(frozen=True)
class MacCost:
    """Multiply-accumulates of the layers for a text of one length."""

    shape: EncoderShape  # the model before pruning
    length: int  # tokens of the text
    fixed: float = 0.0  # nothing

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the products of one layer."""
        return float(self.shape.layer_macs(shape, self.length))


@dataclass(frozen=True, eq=False)
class LatencyCost:
    """Seconds of one call with a text of one length, from a measured table."""

    table: LatencyTable
    length: int  # tokens of the text, as the engine gets them
    _known: dict[tuple[LayerShape, bool], float] = field(default_factory=dict, init=False, repr=False)

    @property
    def fixed(self) -> float:
        """Seconds beside the layers."""
        return self.table.fixed(self.length)

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the seconds of one layer; the last one computes less."""
        last = index == depth - 1
        if (shape, last) not in self._known:  # an allocation asks for the same shape in every layer
            self._known[shape, last] = self.table.layer(shape, self.length, last=last)
        return self._known[shape, last]
