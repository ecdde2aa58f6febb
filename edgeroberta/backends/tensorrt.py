"""Builds for TensorRT: its graphs as they are; the engine is built from them on the device.

Needs no TensorRT: engines are tied to a GPU and a version, so what ships is the graph.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from edgeroberta.backends import HALF_GRAPH, INT8_GRAPH
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.roberta.onnx_builder import external_data
from edgeroberta.storage.artifact import write_bytes
from edgeroberta.storage.files import FP16_GRAPH, TENSORRT_GRAPH


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Copy the int8 graph as ``tensorrt.onnx``."""
    return _copy(graph_dir / INT8_GRAPH, output / TENSORRT_GRAPH)


def build_fp16(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Copy the half-precision graph as ``model_fp16.onnx``, Optimum's name; all else as in :func:`build`."""
    return _copy(graph_dir / HALF_GRAPH, output / FP16_GRAPH)


def _copy(source: Path, destination: Path) -> tuple[str, ...]:
    if not source.is_file():
        raise EdgeRobertaError(
            f"no {source.name} to build from: the graph was not made for TensorRT or CUDA",
            where=str(source.parent),
            hint="run the recipe for a target that lists the engine, e.g. --target jetson",
        )
    data = external_data(source)
    if not data.is_file():
        shutil.copyfile(source, destination)
        return (destination.name,)
    moved = external_data(destination)
    shutil.copyfile(data, moved)
    write_bytes(destination, _refer(source, moved.name))
    return (destination.name, moved.name)


def _refer(source: Path, name: str) -> bytes:
    """Return the graph with its external weights in another file."""
    import onnx

    model = onnx.load(str(source), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = name
    return bytes(model.SerializeToString(deterministic=True))
