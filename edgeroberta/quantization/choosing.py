"""Chooses an int8 form for every matmul and attention of a graph, from what calibration texts do in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.quantization import attention, saturation, search
from edgeroberta.quantization.attention import AttentionChoice
from edgeroberta.quantization.calibrate import TensorStatistics, collect
from edgeroberta.quantization.saturation import Risk
from edgeroberta.quantization.search import Choice
from edgeroberta.roberta.quantized import ColumnQuantized, QuantizationPlan, RowQuantized

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeroberta.progress import Progress
    from edgeroberta.roberta.blocks import Attention
    from edgeroberta.roberta.graph import Graph


@dataclass(frozen=True)
class Rules:
    """What may be chosen."""

    attentions: bool  # whether attentions get an int8 form, too
    symmetric: bool  # only int8 activations with zero point 0
    avoid_saturation: bool  # weights whose products cannot saturate an int16
    #: output error, relative to the output's energy, that this may bring to a matmul; one with more stays
    #: float
    max_saturation_loss: float


@dataclass(frozen=True)
class Choices:
    """What was chosen."""

    matmuls: Mapping[str, Choice]  # site to its choice
    attentions: Mapping[str, AttentionChoice]
    kept_float: Mapping[str, str]  # matmuls that stay float all the same, with the reason for each
    risks: Mapping[str, Risk]  # site to what its int8 weights can do on x86 without VNNI

    def report(self, kept_float: Mapping[str, str]) -> list[dict[str, Any]]:
        """Tell, per matmul and attention, what was chosen, its error, and why it stays float if it does."""
        table = []
        every: dict[str, Choice | AttentionChoice] = {**self.matmuls, **self.attentions}
        for site, choice in every.items():
            kept = kept_float.get(site)
            table.append(
                {
                    "site": site,
                    "choice": "float" if kept else choice.describe(),
                    "error": 0.0 if kept else choice.error,
                    "minmax_error": choice.plain_error,
                    "reason": kept or choice.reason(),
                    "saturation": None if kept or site not in self.risks else self.risks[site].to_json(),
                }
            )
        return table


def choose(
    graph: Graph, statistics: Mapping[str, TensorStatistics], rules: Rules, *, progress: Progress
) -> Choices:
    """Choose the form of every site. ``graph``: the float graph. ``rules``: what may be chosen."""
    matmuls: dict[str, Choice] = {}
    kept_float: dict[str, str] = {}
    risks: dict[str, Risk] = {}
    with progress.bar("quantize", len(graph.sites), "matmuls") as advance:
        for site in graph.sites:
            seen = statistics[site.tensor]
            choice = search.choose(
                site.linear.weight,
                site.linear.bias,
                seen,
                symmetric=rules.symmetric,
                avoid_saturation=rules.avoid_saturation,
            )
            matmuls[site.name] = choice
            risks[site.name] = saturation.examine(choice.plan, seen.rows)
            if choice.error - choice.free_error > rules.max_saturation_loss:
                kept_float[site.name] = (
                    f"weights that cannot saturate would bring {choice.error:.3g} of output error, "
                    f"not {choice.free_error:.3g}"
                )
            advance(note=site.name)
    linears = {site.name: site.linear for site in graph.sites}
    attentions = {
        each.name: attention.choose(
            [statistics[name] for name in each.tensors],
            reader=each.reader,
            weight=linears[each.reader].weight,
            smoothing=None if each.reader in kept_float else matmuls[each.reader].plan.smoothing,
        )
        for each in _attentions(graph, rules)
    }
    return Choices(matmuls, attentions, kept_float, risks)


def observe(
    graph: Graph,
    texts: Sequence[NDArray[np.int64]],
    rules: Rules,
    *,
    file: Path,
    rows: int,
    seed: int,
    progress: Progress,
) -> Mapping[str, TensorStatistics]:
    """Run calibration texts through a graph and keep what its matmuls and attentions read.

    ``graph``: the float graph, written with taps. ``texts``: token ids int64 [length] each. ``file``: where
    the graph may be written; it is deleted again. ``rows``: token rows kept per tensor.
    """
    names = [site.tensor for site in graph.sites]
    names += [name for each in _attentions(graph, rules) for name in each.tensors]
    written = graph.builder.save(file)
    try:
        with progress.bar("calibrate", len(texts), "texts") as advance:

            def counted() -> Iterator[NDArray[np.int64]]:
                for ids in texts:
                    yield ids
                    advance()

            return collect(file, list(dict.fromkeys(names)), counted(), rows=rows, seed=seed)
    finally:
        for each in written:
            each.unlink()


def _attentions(graph: Graph, rules: Rules) -> tuple[Attention, ...]:
    return graph.attentions if rules.attentions else ()


@dataclass(frozen=True)
class Chosen:
    """An int8 form for every site of a graph."""

    matmuls: Mapping[str, Choice]  # site to its choice
    embeddings: RowQuantized | None = None  # the word table in int8; None to keep it float
    #: attention to its choice; empty to keep all of them float
    attentions: Mapping[str, AttentionChoice] = field(default_factory=dict)
    positions: ColumnQuantized | None = None  # the position table in int8; None to keep it float

    def names(self, kept_float: Collection[str] = ()) -> list[str]:
        """Return the names of all matmuls and attentions but those."""
        return [name for name in (*self.matmuls, *self.attentions) if name not in kept_float]

    def implied(self, kept_float: Collection[str]) -> dict[str, str]:
        """Return the further attentions that stay float when the named sites do, with the reason for each.

        TensorRT fuses an attention in int8 only where the matmul behind it reads int8; in half precision it
        fuses either way (TensorRT-RTX 1.7.1).
        """
        return {
            name: f"{each.reader} is float, and no int8 attention fuses before a float matmul"
            for name, each in self.attentions.items()
            if each.reader in kept_float and name not in kept_float
        }

    def plan(self, kept_float: Collection[str]) -> QuantizationPlan:
        """Return the plan in which the named matmuls and attentions stay float, and what that implies."""
        stay = {*kept_float, *self.implied(kept_float)}
        matmuls = {name: each.plan for name, each in self.matmuls.items() if name not in stay}
        attentions = {name: each.plan for name, each in self.attentions.items() if name not in stay}
        return QuantizationPlan(matmuls, self.embeddings, attentions, self.positions)
