"""Builds for ONNX Runtime's CUDA provider: the float16 graph as it is, the one that TensorRT gets, too."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.roberta.builder import external_data

SOURCE, GRAPH = "model.fp16.onnx", "model_fp16.onnx"


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Copy the graph.

    Args:
        graph_dir: Folder with ``model.fp16.onnx``.
        output: Bundle folder.

    Returns:
        Names of the files written.

    Raises:
        EdgeRobertaError: There is no float16 graph.
    """
    source = graph_dir / SOURCE
    if not source.is_file():
        raise EdgeRobertaError(
            f"no {SOURCE} to build from", where=str(graph_dir), hint="run the recipe's export stage again"
        )
    shutil.copyfile(source, output / GRAPH)
    data = external_data(source)
    if not data.is_file():
        return (GRAPH,)
    # The graph refers to the file with its weights by name.
    shutil.copyfile(data, output / data.name)
    return (GRAPH, data.name)
