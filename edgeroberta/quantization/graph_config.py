"""Chooses an int8 form for every matmul and attention of a graph, from what calibration texts do in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta.quantization import attention, int16_saturation, scales
from edgeroberta.quantization.attention import AttentionCalibration
from edgeroberta.quantization.calibrate import TensorStatistics, collect
from edgeroberta.quantization.int16_saturation import SaturationRisk
from edgeroberta.quantization.scales import CalibrationResult
from edgeroberta.roberta.quantized import (
    AttentionPlan,
    ColumnQuantized,
    Float,
    MatMulPlan,
    QuantizationPlan,
    RowQuantized,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeroberta.progress import Progress
    from edgeroberta.roberta.blocks import Attention, LinearOp
    from edgeroberta.roberta.graph import Graph


@dataclass(frozen=True)
class QuantizationRules:
    """What may be chosen."""

    attentions: bool  # whether attentions get an int8 form, too
    symmetric: bool  # only int8 activations with zero point 0
    avoid_saturation: bool  # weights whose products cannot saturate an int16
    #: output error, relative to the output's energy, that this may bring to a matmul; one with more stays
    #: float
    max_saturation_loss: float
    #: most input channels of a matmul behind a GELU that may stay float, the largest ones
    outlier_channels: int = 0


@dataclass(frozen=True)
class QuantizationConfig:
    """What was chosen."""

    matmuls: Mapping[str, CalibrationResult]  # linear op to its choice
    attentions: Mapping[str, AttentionCalibration]
    fp32_fallback: Mapping[str, str]  # matmuls that stay float all the same, with the reason for each
    risks: Mapping[str, SaturationRisk]  # linear op to what its int8 weights can do on x86 without VNNI

    def report(self, fp32_fallback: Mapping[str, str]) -> list[dict[str, Any]]:
        """Tell, per matmul and attention, what was chosen, its error, and why it stays float if it does."""
        table = []
        every: dict[str, CalibrationResult | AttentionCalibration] = {**self.matmuls, **self.attentions}
        for linear_op, choice in every.items():
            kept = fp32_fallback.get(linear_op)
            table.append(
                {
                    "linear_op": linear_op,
                    "choice": "float" if kept else choice.describe(),
                    "error": 0.0 if kept else choice.error,
                    "minmax_error": choice.plain_error,
                    "reason": kept or choice.reason(),
                    "saturation": None
                    if kept or linear_op not in self.risks
                    else self.risks[linear_op].to_json(),
                }
            )
        return table

    def learned(
        self,
        matmuls: Mapping[str, MatMulPlan],
        attentions: Mapping[str, AttentionPlan],
        rows: Mapping[str, Float],
    ) -> QuantizationConfig:
        """Return the same choices with other numbers, and what the new weights can do without VNNI.

        ``matmuls``, ``attentions``: the new forms by name; others stay. ``rows``: calibration rows of each of
        these matmuls, float32 [rows, inputs].
        """
        plans = {
            name: replace(each, plan=matmuls[name], learned=True) if name in matmuls else each
            for name, each in self.matmuls.items()
        }
        grids = {
            name: replace(each, plan=attentions.get(name, each.plan))
            for name, each in self.attentions.items()
        }
        risks = {name: int16_saturation.examine(plan, rows[name]) for name, plan in matmuls.items()}
        return QuantizationConfig(plans, grids, self.fp32_fallback, {**self.risks, **risks})


def select(
    graph: Graph,
    statistics: Mapping[str, TensorStatistics],
    rules: QuantizationRules,
    *,
    words: RowQuantized | None = None,
    progress: Progress,
) -> QuantizationConfig:
    """Choose the form of every linear op.

    ``graph``: the float graph. ``rules``: what may be chosen. ``words``: the word embeddings in int8, which a
    tied decoder reads; it stays float where they do.
    """
    matmuls: dict[str, CalibrationResult] = {}
    fp32_fallback: dict[str, str] = {}
    risks: dict[str, SaturationRisk] = {}
    with progress.bar("quantize", len(graph.linear_ops), "matmuls") as advance:
        for linear_op in graph.linear_ops:
            seen = statistics[linear_op.tensor]
            if linear_op.tied and words is None:
                advance(note=linear_op.name)
                continue
            choice = _choose(linear_op, seen, rules, words)
            matmuls[linear_op.name] = choice
            risks[linear_op.name] = int16_saturation.examine(choice.plan, seen.rows)
            if choice.error - choice.free_error > rules.max_saturation_loss:
                fp32_fallback[linear_op.name] = (
                    f"weights that cannot saturate would bring {choice.error:.3g} of output error, "
                    f"not {choice.free_error:.3g}"
                )
            advance(note=linear_op.name)
    linears = {linear_op.name: linear_op.linear for linear_op in graph.linear_ops}
    attentions = {
        each.name: attention.select_attention_scales(
            [statistics[name] for name in each.tensors],
            reader=each.reader,
            weight=linears[each.reader].weight,
            smoothing=None if each.reader in fp32_fallback else matmuls[each.reader].plan.smoothing,
        )
        for each in _attentions(graph, rules)
    }
    return QuantizationConfig(matmuls, attentions, fp32_fallback, risks)


def _choose(
    linear_op: LinearOp, seen: TensorStatistics, rules: QuantizationRules, words: RowQuantized | None
) -> CalibrationResult:
    linear = linear_op.linear
    if linear_op.tied and words is not None:
        return scales.select_tied_scales(words, linear.weight.T, linear.bias, seen, symmetric=rules.symmetric)
    return scales.select_scales(
        linear.weight,
        linear.bias,
        seen,
        symmetric=rules.symmetric,
        avoid_saturation=rules.avoid_saturation,
        outlier_channels=rules.outlier_channels if linear_op.separable else 0,
    )


def calibrate(
    graph: Graph,
    texts: Sequence[NDArray[np.int64]],
    rules: QuantizationRules,
    *,
    file: Path,
    rows: int,
    seed: int,
    progress: Progress,
) -> Mapping[str, TensorStatistics]:
    """Run calibration texts through a graph and keep what its matmuls and attentions read.

    ``graph``: the float graph, written with observers. ``texts``: token ids int64 [length] each. ``file``:
    where the graph may be written; it is deleted again. ``rows``: token rows kept per tensor.
    """
    names = [linear_op.tensor for linear_op in graph.linear_ops]
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


def _attentions(graph: Graph, rules: QuantizationRules) -> tuple[Attention, ...]:
    return graph.attentions if rules.attentions else ()


@dataclass(frozen=True)
class SelectedScales:
    """An int8 form for every linear op of a graph."""

    matmuls: Mapping[str, CalibrationResult]  # linear op to its choice
    embeddings: RowQuantized | None = None  # the word table in int8; None to keep it float
    #: attention to its choice; empty to keep all of them float
    attentions: Mapping[str, AttentionCalibration] = field(default_factory=dict)
    positions: ColumnQuantized | None = None  # the position table in int8; None to keep it float

    def names(self, fp32_fallback: Collection[str] = ()) -> list[str]:
        """Return the names of all matmuls and attentions but those."""
        return [name for name in (*self.matmuls, *self.attentions) if name not in fp32_fallback]

    def implied(self, fp32_fallback: Collection[str]) -> dict[str, str]:
        """Return the further attentions that stay float where the named linear ops do, each with its reason.

        TensorRT fuses an attention in int8 only where the matmul behind it reads int8; in half precision it
        fuses either way (TensorRT-RTX 1.7.1).
        """
        return {
            name: f"{each.reader} is float, and no int8 attention fuses before a float matmul"
            for name, each in self.attentions.items()
            if each.reader in fp32_fallback and name not in fp32_fallback
        }

    def plan(self, fp32_fallback: Collection[str]) -> QuantizationPlan:
        """Return the plan in which the named matmuls and attentions stay float, and what that implies."""
        stay = {*fp32_fallback, *self.implied(fp32_fallback)}
        matmuls = {name: each.plan for name, each in self.matmuls.items() if name not in stay}
        attentions = {name: each.plan for name, each in self.attentions.items() if name not in stay}
        return QuantizationPlan(matmuls, self.embeddings, attentions, self.positions)
