"""Builds one graph for ONNX Runtime and OpenVINO, whose weights lie beside it, in place of a copy for each.

Both engines map such weights from the file. Six layers x 384 in int8, one thread, from opening to the first
answer (ONNX Runtime 1.32, OpenVINO 2026.4): OpenVINO needs 97 MB, as with its own format 93, and 114 MB with
the weights inside the graph; ONNX Runtime needs 26 MB and 55 ms, with the weights inside 58 MB and 119 ms.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edgeroberta.backends import onnxruntime
from edgeroberta.roberta.onnx_builder import SMALL, external_data
from edgeroberta.storage.artifact import replacing, write_bytes
from edgeroberta.storage.files import GRAPH

if TYPE_CHECKING:
    from onnx import TensorProto

#: Every tensor starts at a multiple of this: the widest vector registers, AVX-512's, hold as many bytes.
#: Whole pages would cost 2 KB more for each tensor on average, and engines map from any place.
ALIGNMENT = 64


def build(graph_dir: Path, output: Path) -> tuple[str, ...]:
    """Write ``model.onnx`` and ``model.onnx_data``; a second call, for the other engine, changes nothing."""
    source, graph = graph_dir / GRAPH, output / GRAPH  # not the form that ONNX Runtime alone reads
    if external_data(source).is_file():
        return onnxruntime.copy(source, output)
    data = external_data(graph)
    if not (graph.is_file() and data.is_file()):
        _move(source, graph, data)
    return (graph.name, data.name)


def _move(source: Path, graph: Path, data: Path) -> None:
    import onnx

    model = onnx.load(str(source))
    with replacing(data) as handle:
        for tensor in model.graph.initializer:
            if len(tensor.raw_data) > SMALL:
                _move_tensor(tensor, handle, data.name)
    write_bytes(graph, model.SerializeToString(deterministic=True))


def _move_tensor(tensor: TensorProto, handle: BinaryIO, name: str) -> None:
    handle.write(bytes(-handle.tell() % ALIGNMENT))
    place = {"location": name, "offset": handle.tell(), "length": len(tensor.raw_data)}
    handle.write(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = tensor.EXTERNAL
    for key, value in place.items():
        tensor.external_data.add(key=key, value=str(value))
