"""The stage ``quantize``: int8 weights and activations, chosen per matmul by measured error."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from edgeroberta.context import Context, RunOutline
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import GRAPH
from edgeroberta.tasks import Outputs, Unit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeroberta.quantization.fp32_fallback import FallbackResult
    from edgeroberta.quantization.graph_config import (
        QuantizationConfig,
        QuantizationRules,
        SelectedScales,
    )
    from edgeroberta.quantization.int16_saturation import SaturationRisk
    from edgeroberta.roberta.graph import GraphForm
    from edgeroberta.roberta.quantized import RowQuantized
    from edgeroberta.roberta.weights import Weights
    from edgeroberta.runtime.encoding import Encoding
    from edgeroberta.tasks import Comparable

#: Longest calibration text, in tokens: ranges come from token rows, and a long text adds rows like
#: those it already gave, at a cost that grows with the square of its length.
CALIBRATION_LENGTH = 256
#: Texts that the half-precision graph is compared with the float graph on.
HALF_TEXTS = 64


class QuantizeConfig(StageConfig):
    """How to quantize."""

    samples: int = Field(256, ge=8, description="Calibration texts, drawn from the training rows.")
    check_samples: int = Field(
        256,
        ge=1,
        description="Further training rows, to compare the int8 graph with the float graph.",
    )
    rows: int = Field(512, ge=64, description="Token rows kept per tensor, on which errors are measured.")
    symmetric: bool = Field(
        False,
        description="Only int8 activations with zero point 0; otherwise uint8 if that is better. Always "
        "true for targets with TensorRT.",
    )
    attention: Literal["auto", "int8", "float"] = Field(
        "auto",
        description="The two matmuls of each attention: int8 or float; auto is int8 if the target has "
        "TensorRT, which fuses them, and float otherwise, because CPUs gain nothing.",
    )
    embeddings: bool = Field(True, description="Store the word embeddings as int8 rows.")
    positions: bool = Field(
        False,
        description="Store the position embeddings in int8, too, with a scale per column: 0.6 MB less at a "
        "width of 384. Targets that run TensorRT keep them in half precision.",
    )
    min_agreement: float = Field(
        0.98, ge=0, le=1, description="Share of the checked texts that must keep the float graph's answer."
    )
    max_float: int = Field(
        2, ge=0, description="Most matmuls that may fall back to fp32 to reach min_agreement."
    )
    outlier_channels: int = Field(
        0,
        ge=0,
        description="Input channels of the matmul behind each GELU that may stay float: the few that reach"
        " furthest, where this lowers its error.",
    )
    saturation: Literal["auto", "avoid", "ignore"] = Field(
        "auto",
        description="Weights whose int8 products saturate an int16 on x86 without VNNI: avoid or ignore; "
        "auto avoids them if the target is such a processor.",
    )
    max_saturation_loss: float = Field(
        0.01,
        ge=0,
        description="Output error, relative to the output's energy, that avoiding saturation may cause in a "
        "matmul; above it, the matmul falls back to fp32, in addition to those of max_float.",
    )


def _check(config: QuantizeConfig, outset: RunOutline) -> RunOutline:
    """Refuse to write over a static model's graph, which has nothing to quantize."""
    outset.require_layers("quantize")
    return outset


@stage(
    "quantize", config=QuantizeConfig, reads=(Kind.CHECKPOINT, Kind.GRAPH), writes=Kind.GRAPH, check=_check
)
def quantize(config: QuantizeConfig, context: Context) -> Mapping[str, Any]:
    """Write the int8 form of the exported graph.

    For a target that runs TensorRT, ``model.tensorrt.onnx`` is written as well: the same plan around a
    half-precision body. ``model.onnx`` then is the int8 emulation graph on a CPU,
    with the attentions in int8, too. For others with ONNX Runtime, ``model.onnxruntime.onnx`` is the same
    plan in operators of its own.
    ``context``: the checkpoint, its float graph, and the training rows to calibrate on. Returns notes: per
    matmul what was chosen and why, and how close the int8 graph stays to the float one.
    """
    from edgeroberta import backends
    from edgeroberta.quantization.graph_config import SelectedScales
    from edgeroberta.roberta.graph import INT8_EMULATION, ONNXRUNTIME, TENSORRT, GraphForm, build_graph
    from edgeroberta.roberta.quantized import quantize_columns
    from edgeroberta.roberta.weights import load_weights

    float_graph = context.inputs[Kind.GRAPH].path
    tensorrt = backends.wants_int8_graph(context.target.engines)
    form = INT8_EMULATION if tensorrt else GraphForm()
    weights = load_weights(context.checkpoint, pair=context.task.joins)
    calibration, check = _texts(config, context)
    half = _carry_half(
        float_graph,
        context.output,
        [one.ids for one in (check or calibration)[:HALF_TEXTS]],
        context.task.kind.comparable,
    )
    rules = _rules(config, context)
    rows = _words(weights, form, rules) if config.embeddings else None
    found = _choose(weights, form, calibration, rules, rows, config, context)
    table = weights.embeddings.position
    positions = quantize_columns(table) if config.positions and not tensorrt else None
    choices = SelectedScales(found.matmuls, rows, found.attentions, positions)
    fitted = _fit(weights, form, choices, found.fp32_fallback, check or calibration, config, context)
    fp32_fallback = {**found.fp32_fallback, **fitted.fp32_fallback}
    fp32_fallback |= choices.implied(fp32_fallback)
    plan = choices.plan(fp32_fallback)
    files = build_graph(weights, plan, form).builder.save(context.output / GRAPH)
    if tensorrt:
        build_graph(weights, plan, TENSORRT).builder.save(context.output / backends.INT8_GRAPH)
    elif plan.matmuls and "onnxruntime" in context.target.engines:
        build_graph(weights, plan, ONNXRUNTIME).builder.save(context.output / backends.ORT_GRAPH)
    context.checkpoint.copy_files(context.output)
    if not fitted.within_budget:
        context.progress.line(
            f"int8 keeps {100 * fitted.agreement:.1f} % of the answers (budget {config.min_agreement:.1%}) "
            f"with {len(fp32_fallback)} matmuls float; allow more with --set quantize.max_float=N"
        )
    return {
        "bytes": sum(file.stat().st_size for file in files),
        "calibration_texts": len(calibration),
        "checked_texts": len(check or calibration),
        "check": {
            "agreement": fitted.agreement,
            "logit_mse": fitted.error,
            "max_logit_error": fitted.max_error,
            "met": fitted.within_budget,
        },
        "half": half,
        "linear_ops": found.report(fp32_fallback),
        "saturation": _saturation({linear_op: found.risks[linear_op] for linear_op in plan.matmuls}),
        "embeddings": "int8 rows" if config.embeddings else "float",
        "positions": "float" if positions is None else "int8",
    }


def _texts(config: QuantizeConfig, context: Context) -> tuple[list[Encoding], list[Encoding]]:
    """Draw calibration and check texts, disjoint, from the training rows."""
    import numpy as np

    from edgeroberta.quantization import calibration_masks
    from edgeroberta.runtime import embedding_texts

    length = min(CALIBRATION_LENGTH, context.checkpoint.config.max_length)
    order = np.random.default_rng(context.seed).permutation(len(context.data.train))
    # With few rows, calibration comes first, but some are always left to check on.
    wanted = min(config.samples, max(len(order) - config.check_samples, (len(order) + 1) // 2))
    rows = context.data.train.select(order[: wanted + config.check_samples])
    tokenizer = embedding_texts.reader(context.task).open(context.checkpoint.folder, length)
    found = tokenizer.encode(rows.read(), places=context.task.kind.unit.located)
    first, rest = found[: wanted * rows.units], found[wanted * rows.units :]
    # One mask in each text that answers are counted on, as in the rows of the gate.
    return (
        calibration_masks.mask(first, context.task, share=calibration_masks.SHARE, seed=context.seed),
        calibration_masks.mask(rest, context.task, share=0, seed=context.seed),
    )


def _carry_half(
    source: Path, output: Path, texts: list[NDArray[np.int64]], comparable: Comparable
) -> dict[str, float] | None:
    """Copy the half-precision graph, where the export made one, and hold it to the float graph."""
    import shutil

    from edgeroberta.backends import HALF_GRAPH
    from edgeroberta.quantization.ort import validate_fp16
    from edgeroberta.roberta.onnx_builder import external_data

    if not (source / HALF_GRAPH).is_file():
        return None
    for file in (source / HALF_GRAPH, external_data(source / HALF_GRAPH)):
        if file.is_file():
            shutil.copyfile(file, output / file.name)
    return validate_fp16(source / GRAPH, source / HALF_GRAPH, texts, comparable)


def _rules(config: QuantizeConfig, context: Context) -> QuantizationRules:
    from edgeroberta import backends
    from edgeroberta.quantization.graph_config import QuantizationRules

    tensorrt = backends.wants_int8_graph(context.target.engines)
    return QuantizationRules(
        attentions=config.attention == "int8" or (config.attention == "auto" and tensorrt),
        symmetric=config.symmetric or tensorrt,
        avoid_saturation=config.saturation == "avoid"
        or (config.saturation == "auto" and context.target.saturating),
        max_saturation_loss=config.max_saturation_loss,
        outlier_channels=config.outlier_channels,
    )


def _words(weights: Weights, form: GraphForm, rules: QuantizationRules) -> RowQuantized:
    """Quantize the word embeddings; a decoder that is tied to them must not saturate where none may."""
    from edgeroberta.quantization.int16_saturation import quantize_safely
    from edgeroberta.roberta.graph import build_graph
    from edgeroberta.roberta.quantized import by_columns, quantize_rows

    table = weights.embeddings.word
    if rules.avoid_saturation and any(each.tied for each in build_graph(weights, form=form).linear_ops):
        return by_columns(*quantize_safely(table.T))
    return quantize_rows(table)


def _choose(
    weights: Weights,
    form: GraphForm,
    calibration: list[Encoding],
    rules: QuantizationRules,
    words: RowQuantized | None,
    config: QuantizeConfig,
    context: Context,
) -> QuantizationConfig:
    from edgeroberta.quantization import graph_config
    from edgeroberta.roberta.graph import build_graph

    graph = build_graph(weights, form=replace(form, observers=True))
    statistics = graph_config.calibrate(
        graph,
        [one.ids for one in calibration],
        rules,
        file=context.scratch / "observed.onnx",
        rows=config.rows,
        seed=context.seed,
        progress=context.progress,
    )
    return graph_config.select(graph, statistics, rules, words=words, progress=context.progress)


def _fit(
    weights: Weights,
    form: GraphForm,
    choices: SelectedScales,
    never: Collection[str],
    check: list[Encoding],
    config: QuantizeConfig,
    context: Context,
) -> FallbackResult:
    from edgeroberta.metrics import agreement
    from edgeroberta.quantization import fp32_fallback as budget
    from edgeroberta.quantization.ort import open_session, run_graph
    from edgeroberta.roberta.graph import build_graph

    trial = context.scratch / "trial.onnx"

    def answers(graph: Path, texts: list[Encoding]) -> Outputs:
        per_token = context.task.kind.unit is Unit.TOKEN
        places = [one.places for one in texts if per_token and one.places is not None]
        return run_graph(open_session(graph), [one.ids for one in texts], places or None)

    def measure(fp32_fallback: frozenset[str], texts: int) -> Outputs:
        plan = choices.plan(fp32_fallback.union(never))
        # Weights beside the graph: many graphs may have to be written, and this is the quicker way.
        files = build_graph(weights, plan, form).builder.save(trial, inline_limit=0)
        outputs = answers(trial, check[:texts])
        for file in files:
            file.unlink()
        return outputs

    return budget.fall_back_to_fp32(
        measure,
        lambda a, b: agreement(context.task, a, b),
        answers(context.inputs[Kind.GRAPH].path / GRAPH, check),
        choices.names(never),
        min_agreement=config.min_agreement,
        max_float=config.max_float,
        progress=context.progress,
        comparable=context.task.kind.comparable,
    )


def _saturation(risks: Mapping[str, SaturationRisk]) -> dict[str, Any]:
    """Tell whether the int8 weights can saturate an int16 on x86 without VNNI, and where."""
    linear_ops = [linear_op for linear_op, risk in risks.items() if not risk.safe]
    return {"safe": not linear_ops, "linear_ops": linear_ops}
