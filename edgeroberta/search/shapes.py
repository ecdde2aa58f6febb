"""Shapes that should meet a budget: for each depth, the one that keeps most of what matters to the task."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from edgeroberta.errors import UsageError
from edgeroberta.prune import allocation
from edgeroberta.prune.importance import Importance
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.roberta.surgery import choose_layers
from edgeroberta.search.candidates import BundleSize, Candidate, PredictedResult
from edgeroberta.search.limits import BudgetLimits

if TYPE_CHECKING:
    from edgeroberta.latency.table import LatencyTable

#: Part of each limit that is left free: a model that was predicted to just meet the limit would miss it half
#: of the time.
RESERVE = 0.05
#: Candidates at most; each is distilled for a while.
MOST = 4
#: A vocabulary is cut to this part at most: below it, texts of every domain lose words that they use.
LEAST_VOCABULARY = 0.2
_HALVINGS = 10


@dataclass(frozen=True)
class ShapeSearch:
    """A search for the shapes that meet a budget."""

    importance: Importance  # scores of its units; equal ones serve where only the least counts
    table: LatencyTable  # what layers cost on the device
    lengths: tuple[int, ...]  # token counts of the user's texts
    limits: BudgetLimits  # the budget
    footprint: BundleSize  # what decides the bundle's bytes
    _costs: dict[tuple[bool, LayerShape], float] = field(default_factory=dict, repr=False)

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what should meet the budget, the deepest first.

        That is the deepest model of whole layers which meets it, and deeper ones that are pruned; shallower
        ones of whole layers are smaller than need be. Raises UsageError: nothing meets it; the message names
        the least that there is.
        """
        self.check()
        depth = len(self.table.shape.layers)
        if (full := self.whole()) is not None:
            return (full,)
        found: list[Candidate] = []
        for count in range(depth, 0, -1):
            layers = choose_layers(depth, count)
            whole = self._candidate(layers, tuple(self.table.shape.layers[layer] for layer in layers))
            if whole.predicted.meets(self.aimed):
                found.append(whole)
                break
            pruned = self._pruned(layers)
            if pruned is not None:
                found.append(pruned)
        spread = np.unique(np.linspace(0, len(found) - 1, min(MOST, len(found))).round().astype(int))
        return tuple(found[int(place)] for place in spread)

    def whole(self) -> Candidate | None:
        """Return the baseline in int8, with fewer tokens if need be; None where it is too much."""
        depth = len(self.table.shape.layers)
        found = self._candidate(tuple(range(depth)), self.table.shape.layers)
        return found if found.predicted.meets(self.aimed) else None

    def of_layers(self, count: int) -> Candidate:
        """Return the model of so many whole layers, with all tokens, whether it meets the budget or not."""
        full = self.table.shape
        layers = choose_layers(len(full.layers), count)
        return self._candidate(layers, tuple(full.layers[layer] for layer in layers), every_token=True)

    def check(self) -> None:
        """Refuse a budget that no shape meets, naming the least that there is; needs no importance."""
        whole = self.table.shape.layers[0]
        least = LayerShape(1, min(allocation.GRANULARITY, whole.intermediate))
        smallest = self._candidate((0,), (least,)).predicted
        if smallest.meets(self.aimed):
            return
        times, length = smallest.times, int(np.median(self.lengths))
        outside = float(self.table.overhead.at(np.array([length], np.float64))[0])
        tails = {"p95": times.p95 * 1000, "p99": times.p99 * 1000}
        reached = ", ".join(f"{name} {value:.3f} ms" for name, value in tails.items())
        possible = ", ".join(f"--{name} {value / (1 - RESERVE):.3f}ms" for name, value in tails.items())
        raise UsageError(
            f"no model meets {self.limits.told}: one layer of one head comes to {smallest.speedup:.2f}x, "
            f"{reached} and {smallest.bytes / 1e6:.2f} MB; of its median {times.p50 * 1000:.3f} ms, "
            f"{outside * 1000:.3f} ms are tokenizer and call",
            where=f"budget ({self.table.engine}, {self.table.device})",
            hint=f"ask for less: at most --speedup {smallest.speedup * (1 - RESERVE):.1f}, at least "
            f"{possible} and --size {smallest.bytes / (1 - RESERVE) / 1e6:.1f}MB",
        )

    @property
    def aimed(self) -> BudgetLimits:
        """The budget less the reserve."""
        asked, part = self.limits, 1 - RESERVE
        return BudgetLimits(
            speedup=None if asked.speedup is None else asked.speedup / part,
            p95=None if asked.p95 is None else asked.p95 * part,
            p99=None if asked.p99 is None else asked.p99 * part,
            bytes=None if asked.bytes is None else int(asked.bytes * part),
            keep=asked.keep,
        )

    def _pruned(self, layers: tuple[int, ...]) -> Candidate | None:
        """Return the largest pruned model of these layers that meets the budget; None where none does."""
        shapes = tuple(self.table.shape.layers[layer] for layer in layers)
        cost = _MedianLatency(self)
        low = allocation.least(self.importance, cost, layers)
        high = allocation.cost_of(cost, shapes)
        best = None
        for step in range(_HALVINGS + 1):
            budget = low if step == 0 else (low + high) / 2
            kept = allocation.allocate(self.importance, cost, budget * (1 + 1e-9), layers=layers)
            found = self._candidate(layers, kept.shapes)
            if found.predicted.meets(self.aimed):
                best = replace(found, kept=self._share(allocation.kept_importance(self.importance, kept)))
                low = budget
            elif best is None:
                return None
            else:
                high = budget
        return best

    def _candidate(
        self, layers: tuple[int, ...], shapes: tuple[LayerShape, ...], *, every_token: bool = False
    ) -> Candidate:
        full = self.table.shape
        shape = replace(full, layers=shapes)
        vocabulary = None if every_token else self._vocabulary(shape)
        if vocabulary is not None:
            shape = replace(shape, vocab_size=vocabulary)
        found = self.table.predict(shape, self.lengths)
        predicted = PredictedResult(
            times=found,
            speedup=self.table.baseline(self.lengths).p50 / found.p50,
            bytes=self.footprint.of(shape, full.vocab_size),
        )
        units = zip(self.importance.heads, self.importance.neurons, strict=True)
        worth = [float(heads.sum() + neurons.sum()) for heads, neurons in units]
        whole = all(shapes[place] == full.layers[layer] for place, layer in enumerate(layers))
        everything = whole and len(layers) == len(full.layers)
        share = 1.0 if everything else self._share(sum(worth[layer] for layer in layers))
        return Candidate(layers, shapes, vocabulary, predicted, share, whole, everything)

    def _share(self, worth: float) -> float:
        total = sum(float(scores.sum()) for scores in (*self.importance.heads, *self.importance.neurons))
        return worth / total if total else 1.0

    def _vocabulary(self, shape: EncoderShape) -> int | None:
        """Return how many tokens to keep for the size that is asked for; None for all of them."""
        limit = self.aimed.bytes
        full = shape.vocab_size
        if limit is None or self.footprint.of(shape, full) <= limit:
            return None
        least = max(1, round(full * LEAST_VOCABULARY))
        without = self.footprint.of(replace(shape, vocab_size=0), full)
        each = (self.footprint.of(shape, full) - without) / full
        return max(least, int((limit - without) / each))


class _MedianLatency:
    """Seconds of one call with a text of median length, each layer's asked of the table once."""

    def __init__(self, search: ShapeSearch) -> None:
        self._table, self._known = search.table, search._costs
        self._length = int(np.median(search.lengths))

    @property
    def fixed(self) -> float:
        """Seconds beside the layers."""
        return self._table.fixed(self._length)

    def layer(self, index: int, depth: int, shape: LayerShape) -> float:
        """Return the seconds of one layer; the last one computes less."""
        key = (index == depth - 1, shape)
        if key not in self._known:
            self._known[key] = self._table.layer(shape, self._length, last=key[0])
        return self._known[key]


def equal(shape: EncoderShape) -> Importance:
    """Return equal scores for all units, for questions that do not depend on them."""
    return Importance(
        tuple(np.ones(layer.heads) for layer in shape.layers),
        tuple(np.ones(layer.intermediate) for layer in shape.layers),
    )
