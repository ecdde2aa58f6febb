"""The stage ``quantize``: int8 weights and activations, chosen per matmul by measured error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeroberta import distributed
from edgeroberta.context import Context, RunOutline
from edgeroberta.stages import stage
from edgeroberta.stages.quantize_settings import QuantizeConfig
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import GRAPH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgeroberta.quantization.calibration_texts import RowSelection
    from edgeroberta.quantization.int16_saturation import SaturationRisk
    from edgeroberta.stages.int8_graph import Int8Selection
    from edgeroberta.tasks import Comparable

#: Texts that the half-precision graph is compared with the float graph on.
HALF_TEXTS = 64


def _check(config: QuantizeConfig, outset: RunOutline) -> RunOutline:
    """Refuse a static model's graph, a teacher that cannot be used, and to train what the settings freeze."""
    from edgeroberta.training import foreign

    outset.require_layers("quantize")
    if config.distill is not None:
        outset.require_all_tokens("quantize.distill")
        if config.distill.teacher is not None:
            foreign.check(config.distill.teacher, outset.task)
        if outset.shape is not None:
            config.distill.require_learning(len(outset.shape.layers), "quantize.distill")
    return outset


@stage(
    "quantize",
    config=QuantizeConfig,
    reads=(Kind.CHECKPOINT, Kind.GRAPH),
    writes=Kind.GRAPH,
    distributed=True,
    check=_check,
)
def quantize(config: QuantizeConfig, context: Context) -> Mapping[str, Any]:
    """Write the int8 form of the exported graph.

    For a target that runs TensorRT, ``model.tensorrt.onnx`` is written as well: the same plan around a
    half-precision body. ``model.onnx`` then is the int8 emulation graph on a CPU,
    with the attentions in int8, too. For others with ONNX Runtime, ``model.onnxruntime.onnx`` is the same
    plan in operators of its own.
    ``context``: the checkpoint, its float graph, and the training rows to calibrate on. Returns notes: per
    matmul what was chosen and why, and how close the int8 graph stays to the float one. Of several processes
    the main one does it, and the others help it to train.
    """
    from edgeroberta.quantization import calibration_texts
    from edgeroberta.stages import int8_graph

    rows = calibration_texts.select_rows(
        len(context.data.train),
        samples=config.samples,
        check_samples=config.check_samples,
        seed=context.seed,
    )
    chosen = int8_graph.choose(config, context, rows) if distributed.current().main else None
    learned = int8_graph.learn(config, context, rows, chosen) if config.distill is not None else None
    return {} if chosen is None else _write(config, context, rows, chosen, learned)


def _write(
    config: QuantizeConfig,
    context: Context,
    rows: RowSelection,
    chosen: Int8Selection,
    learned: Int8Selection | None,
) -> Mapping[str, Any]:
    """Check what was chosen, or learned since, and write it; returns the notes."""
    from edgeroberta import backends
    from edgeroberta.roberta.graph import ONNXRUNTIME, TENSORRT, build_graph
    from edgeroberta.stages.int8_graph import AnswerCheck

    check = AnswerCheck(config, context, rows)
    half = _carry_half(
        context.inputs[Kind.GRAPH].path,
        context.output,
        [one.ids for one in check.texts[:HALF_TEXTS]],
        context.task.kind.comparable,
    )
    kept, notes = check.closer(chosen, learned)
    fitted = check.fit(kept)
    found, choices = kept.found, kept.scales
    fp32_fallback = {**found.fp32_fallback, **fitted.fp32_fallback}
    fp32_fallback |= choices.implied(fp32_fallback)
    plan = choices.plan(fp32_fallback)
    files = build_graph(kept.weights, plan, kept.form).builder.save(context.output / GRAPH)
    if backends.wants_int8_graph(context.target.engines):
        build_graph(kept.weights, plan, TENSORRT).builder.save(context.output / backends.INT8_GRAPH)
    elif plan.matmuls and "onnxruntime" in context.target.engines:
        build_graph(kept.weights, plan, ONNXRUNTIME).builder.save(context.output / backends.ORT_GRAPH)
    context.checkpoint.copy_files(context.output)
    if not fitted.within_budget:
        context.progress.line(
            f"int8 keeps {100 * fitted.agreement:.1f} % of the answers (budget {config.min_agreement:.1%}) "
            f"with {len(fp32_fallback)} matmuls float; allow more with --set quantize.max_float=N"
        )
    return {
        "bytes": sum(file.stat().st_size for file in files),
        "calibration_texts": chosen.texts,
        "checked_texts": len(check.texts),
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
        "positions": "float" if kept.positions is None else "int8",
        **({"distill": notes} if notes else {}),
    }


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


def _saturation(risks: Mapping[str, SaturationRisk]) -> dict[str, Any]:
    """Tell whether the int8 weights can saturate an int16 on x86 without VNNI, and where."""
    linear_ops = [linear_op for linear_op, risk in risks.items() if not risk.safe]
    return {"safe": not linear_ops, "linear_ops": linear_ops}
