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
    from onnx import GraphProto, NodeProto


#: Domain of ONNX Runtime's own operators, in which the graph writer writes int8 graphs for that engine.
ORT_DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class ExpectedOp:
    """A matmul with weights, or an attention, in the order of the graph."""

    node: str  # name of the node; of an attention, that of its softmax
    attention: bool  # True for an attention
    int8: bool  # True when the graph asks for integers
    matmuls: tuple[str, ...]  # names of the matmul nodes it is made of


def read(graph: Path) -> tuple[ExpectedOp, ...]:
    """Read the matmuls and attentions of an ONNX file, in its order, without its external weights."""
    model = _load(graph)
    makers = {output: node for node in model.node for output in node.output}
    constants = {tensor.name for tensor in model.initializer}
    found: list[ExpectedOp] = []
    scores: dict[str, NodeProto] = {}  # softmax node to the matmul that made its input
    for node in model.node:
        if node.domain == ORT_DOMAIN:
            found += _of_onnxruntime(node)
        if node.op_type == "Softmax":
            scores[node.name] = _upward(node.input[0], makers, "MatMul")
        if node.op_type != "MatMul":
            continue
        integers = all(_dequantized(name, makers) for name in node.input)
        if any(_constant(name, makers, constants) for name in node.input):
            found.append(ExpectedOp(node.name, False, integers, (node.name,)))
        softmax = _upward(node.input[0], makers, "Softmax")
        if softmax is not None and softmax.name in scores:
            first = scores.pop(softmax.name)
            both = integers and all(_dequantized(name, makers) for name in first.input)
            found.append(ExpectedOp(softmax.name, True, both, (first.name, node.name)))
    return tuple(found)


@dataclass(frozen=True)
class Gelu:
    """A GELU, written out in elementary operators."""

    node: str  # name of its last node, which stands for the whole where an engine fuses it
    inner: str  # name of the ``Erf`` or ``Tanh`` inside, which is gone where it does
    tanh: bool  # True for the approximation by tanh


def gelus(graph: Path) -> tuple[Gelu, ...]:
    """Find the GELUs of a graph, in its order: an ``Erf`` or ``Tanh``, plus one, times two factors."""
    model = _load(graph)
    readers: dict[str, list[NodeProto]] = {}
    for node in model.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    found = []
    for node in model.node:
        if (node.domain, node.op_type) == (ORT_DOMAIN, "Gelu"):
            found.append(Gelu(node.name, f"{node.name}.erf", tanh=False))
        if node.op_type not in ("Erf", "Tanh"):
            continue
        last: NodeProto | None = node
        for wanted in ("Add", "Mul", "Mul"):
            following = readers.get(last.output[0], []) if last is not None else []
            last = next((reader for reader in following if reader.op_type == wanted), None)
        if last is not None:
            found.append(Gelu(last.name, node.name, node.op_type == "Tanh"))
    return tuple(found)


def _of_onnxruntime(node: NodeProto) -> list[ExpectedOp]:
    """Read one of ONNX Runtime's own operators, each called like a node of the form for all engines."""
    if node.op_type not in ("MatMulIntegerToFloat", "QAttention"):
        return []
    matmul = ExpectedOp(node.name, False, True, (node.name,))
    if node.op_type == "MatMulIntegerToFloat":
        return [matmul]
    name = node.name.removesuffix(".qkv.matmul")
    return [matmul, ExpectedOp(f"{name}.softmax", True, False, (f"{name}.scores", f"{name}.context"))]


def norms(graph: Path) -> tuple[str, ...]:
    """Return the names of a graph's LayerNormalization nodes, in its order."""
    return tuple(node.name for node in _load(graph).node if node.op_type == "LayerNormalization")


def _load(graph: Path) -> GraphProto:
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("onnx", "compress", purpose="reading the graph") from error
    return onnx.load(str(graph), load_external_data=False).graph


#: Operators between a matmul of an attention and its softmax.
_BETWEEN = ("Add", "QuantizeLinear", "DequantizeLinear")


def _upward(tensor: str, makers: dict[str, NodeProto], wanted: str) -> NodeProto | None:
    """Follow first inputs up to an operator, through those that may stand between."""
    node = makers.get(tensor)
    while node is not None and node.op_type in _BETWEEN:
        node = makers.get(node.input[0])
    return node if node is not None and node.op_type == wanted else None


def _dequantized(tensor: str, makers: dict[str, NodeProto]) -> bool:
    tensor = _transposed(tensor, makers)
    return tensor in makers and makers[tensor].op_type == "DequantizeLinear"


def _transposed(tensor: str, makers: dict[str, NodeProto]) -> str:
    """Return what a tensor is the transposed form of, as a decoder is of the embeddings; or the tensor."""
    node = makers.get(tensor)
    return node.input[0] if node is not None and node.op_type == "Transpose" else tensor


def _constant(tensor: str, makers: dict[str, NodeProto], constants: set[str]) -> bool:
    tensor = _transposed(tensor, makers)
    return tensor in constants or (_dequantized(tensor, makers) and makers[tensor].input[0] in constants)
