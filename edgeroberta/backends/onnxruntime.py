"""Builds for ONNX Runtime: the graph as it is, with its external data where it has some."""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeroberta.backends import source_graph
from edgeroberta.roberta.onnx_builder import external_data
from edgeroberta.storage.artifact import write_bytes
from edgeroberta.storage.files import GRAPH


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Copy the graph: that in ONNX Runtime's own operators where there is one."""
    return copy(source_graph("onnxruntime", graph_dir), output)


def copy(source: Path, output: Path) -> tuple[str, ...]:
    """Copy a graph to ``model.onnx``, and the file of its large weights to ``model.onnx_data``."""
    graph, data = output / GRAPH, external_data(output / GRAPH)
    stored = external_data(source)
    if not stored.is_file():
        shutil.copyfile(source, graph)
        return (graph.name,)
    shutil.copyfile(stored, data)
    if stored.name == data.name:
        shutil.copyfile(source, graph)
    else:
        refer(source, graph, data.name)
    return (graph.name, data.name)


def refer(source: Path, graph: Path, name: str) -> None:
    """Copy a graph, and let it look for its weights in a file of another name."""
    import onnx

    model = onnx.load(str(source), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    write_bytes(graph, model.SerializeToString(deterministic=True))
