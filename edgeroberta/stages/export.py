"""The stage ``export``: write a checkpoint as a float ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgeroberta.context import Context, RunOutline
from edgeroberta.settings import StageConfig
from edgeroberta.stages import stage
from edgeroberta.storage.artifact import Kind
from edgeroberta.storage.files import GRAPH


class ExportConfig(StageConfig):
    """How to export; there is nothing to choose yet."""


def _check(config: ExportConfig, outset: RunOutline) -> RunOutline:
    """Refuse to write over a static model's graph."""
    outset.require_layers("export")
    return outset


@stage("export", config=ExportConfig, reads=(Kind.CHECKPOINT,), writes=Kind.GRAPH, check=_check)
def export(config: ExportConfig, context: Context) -> Mapping[str, Any]:
    """Write ``model.onnx`` in float32, with the config and tokenizer files beside it.

    For a target with engines that compute in half precision, ``model.fp16.onnx`` is written as well. Returns
    notes: bytes of the graph, and the engine files written.
    """
    from edgeroberta import backends
    from edgeroberta.roberta.graph import TENSORRT, write_float

    pair = context.task.joins
    files = write_float(context.checkpoint, context.output / GRAPH, pair=pair)
    if backends.wants_half_graph(context.target.engines):
        half = context.output / backends.HALF_GRAPH
        files += write_float(context.checkpoint, half, TENSORRT, pair=pair)
    context.checkpoint.copy_files(context.output)
    return {"bytes": sum(file.stat().st_size for file in files), "files": [file.name for file in files]}
