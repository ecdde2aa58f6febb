"""Builds for ONNX Runtime: the graph as it is, with its external data where it has some."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeroberta.backends import source_graph
from edgeroberta.roberta.onnx_builder import external_data
from edgeroberta.storage.files import GRAPH


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Copy the graph."""
    source = source_graph("onnxruntime", graph_dir)
    shutil.copyfile(source, output / GRAPH)
    # Large graphs keep their weights in a file beside them. The graph refers to that file by name, so
    # it keeps its name.
    data = external_data(source)
    if not data.is_file():
        return (GRAPH,)
    shutil.copyfile(data, output / data.name)
    return (GRAPH, data.name)
