"""What a graph of ours stores, part by part: the embeddings, each layer, the head."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.runtime import onnx_outputs
from edgeroberta.runtime.onnx_outputs import StoredTensor

#: Numbers of ``TensorProto.DataType`` (onnx.proto) to their names, and bits of an element.
_TYPES = {
    1: ("float32", 32), 2: ("uint8", 8), 3: ("int8", 8), 5: ("int16", 16), 6: ("int32", 32), 7: ("int64", 64),
    9: ("bool", 8), 10: ("float16", 16), 11: ("float64", 64), 16: ("bfloat16", 16), 21: ("uint4", 4),
    22: ("int4", 4),
}  # fmt: skip
_PART = re.compile(r"(layer\.\d+|embeddings|head)\.")
#: Ends of the names of what quantization stores beside the weights; a norm has a scale of its own.
_OF_QUANTIZATION = re.compile(r"(?<!norm)\.scale$|\.(smoothing|weight_scale|weight_zero|zero_point)$")
#: Constants that shape the graph, and are nothing of the model.
OTHER = "other"


@dataclass(frozen=True)
class MatmulPart:
    """A matrix of weights."""

    name: str  # as the graph and reports call its matmul
    inputs: int
    outputs: int
    type: str  # of its weights


@dataclass(frozen=True)
class GraphPart:
    """A part of the model."""

    name: str  # ``embeddings``, ``layer.0`` …, ``head``, or ``other``
    parameters: int  # numbers that were learned; what quantization stores beside them is left out
    bytes: int  # of all that is stored for it
    matmuls: tuple[MatmulPart, ...]


def read(graph: Path) -> tuple[GraphPart, ...]:
    """Read the parts of a graph, in their order; none where the file is no ONNX."""
    found: dict[str, list[StoredTensor]] = {}
    for tensor in onnx_outputs.tensors(graph):
        named = _PART.match(tensor.name)
        found.setdefault(named[1] if named else OTHER, []).append(tensor)
    order = sorted(found, key=_place)
    return tuple(_part(name, found[name]) for name in order)


def _place(name: str) -> tuple[int, int]:
    if name.startswith("layer."):
        return 1, int(name.partition(".")[2])
    return {"embeddings": 0, "head": 2}.get(name, 3), 0


def _part(name: str, tensors: Sequence[StoredTensor]) -> GraphPart:
    learned = 0 if name == OTHER else sum(map(_size, filter(_is_learned, tensors)))
    matmuls = [
        MatmulPart(tensor.name.removesuffix(".weight"), *tensor.shape, _TYPES.get(tensor.type, ("?", 0))[0])
        for tensor in tensors
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2
    ]
    stored = sum(_size(tensor) * _TYPES.get(tensor.type, ("?", 0))[1] for tensor in tensors) // 8
    return GraphPart(name, learned, stored, tuple(matmuls))


def _size(tensor: StoredTensor) -> int:
    return math.prod(tensor.shape)


def _is_learned(tensor: StoredTensor) -> bool:
    # The scale of an embedding table's rows is ``embeddings.scale``, of a norm ``embeddings.norm.scale``.
    return len(tensor.shape) > 0 and _OF_QUANTIZATION.search(tensor.name) is None
