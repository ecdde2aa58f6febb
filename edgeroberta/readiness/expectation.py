"""What an engine should do with a graph, read from the graph itself.

A matmul whose two inputs are dequantized is to be int8; so a pruned layer, or one that the quantizer
kept float, is expected as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.errors import missing_extra

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True)
class Expected:
    """A matmul with weights, or an attention, in the order of the graph.

    Attributes:
        node: Name of the node; of an attention, that of its softmax.
        attention: True for an attention.
        int8: True when the graph asks for integers.
        matmuls: Names of the matmul nodes it is made of.
    """

    node: str
    attention: bool
    int8: bool
    matmuls: tuple[str, ...]


def read(graph: Path) -> tuple[Expected, ...]:
    """Read the matmuls and attentions of a graph, in its order.

    Args:
        graph: ONNX file; its external weights are not needed.

    Raises:
        UnavailableError: The package onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("onnx", "compress", purpose="reading the graph") from error
    model = onnx.load(str(graph), load_external_data=False).graph
    makers = {output: node for node in model.node for output in node.output}
    constants = {tensor.name for tensor in model.initializer}
    found: list[Expected] = []
    scores: dict[str, NodeProto] = {}  # softmax node to the matmul that made its input
    for node in model.node:
        if node.op_type == "Softmax":
            scores[node.name] = _upward(node.input[0], makers, "MatMul")
        if node.op_type != "MatMul":
            continue
        integers = all(_dequantized(name, makers) for name in node.input)
        if any(_constant(name, makers, constants) for name in node.input):
            found.append(Expected(node.name, False, integers, (node.name,)))
        softmax = _upward(node.input[0], makers, "Softmax")
        if softmax is not None and softmax.name in scores:
            first = scores.pop(softmax.name)
            both = integers and all(_dequantized(name, makers) for name in first.input)
            found.append(Expected(softmax.name, True, both, (first.name, node.name)))
    return tuple(found)


#: Operators between a matmul of an attention and its softmax.
_BETWEEN = ("Add", "QuantizeLinear", "DequantizeLinear")


def _upward(tensor: str, makers: dict[str, NodeProto], wanted: str) -> NodeProto | None:
    """Follow first inputs up to an operator, through those that may stand between."""
    node = makers.get(tensor)
    while node is not None and node.op_type in _BETWEEN:
        node = makers.get(node.input[0])
    return node if node is not None and node.op_type == wanted else None


def _dequantized(tensor: str, makers: dict[str, NodeProto]) -> bool:
    return tensor in makers and makers[tensor].op_type == "DequantizeLinear"


def _constant(tensor: str, makers: dict[str, NodeProto], constants: set[str]) -> bool:
    return tensor in constants or (_dequantized(tensor, makers) and makers[tensor].input[0] in constants)
