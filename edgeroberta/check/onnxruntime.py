"""Reads the kernels of ONNX Runtime from the graph that it has optimized."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeroberta.check.kernels import ExecutedGraph, Kernel, integers
from edgeroberta.errors import EngineError, missing_extra
from edgeroberta.runtime import onnxruntime as engine

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto

#: Operators that keep the type of their first input.
_KEEPING = ("Reshape", "Transpose", "Slice", "Split", "Squeeze", "Unsqueeze", "Gather", "Identity")


def read(folder: Path, *, threads: int, length: int) -> ExecutedGraph:
    """Open a bundle's ``model.onnx`` with a session's own options, and read the graph that is made of it.

    ``length``: not used; the graph is the same for all lengths. Returns the nodes of the optimized graph. A
    fused node keeps the name of the matmul in it. Raises EngineError: ONNX Runtime refuses the graph;
    UnavailableError: ONNX Runtime or the package onnx is not installed.
    """
    library = engine.load()
    try:
        import onnx
    except ImportError as error:
        raise missing_extra("onnx", "compress", purpose="reading what ONNX Runtime runs") from error
    options = engine.make_options(folder, threads=threads)
    with tempfile.TemporaryDirectory(prefix="edgeroberta-check-") as scratch:
        optimized = Path(scratch) / "optimized.onnx"
        options.optimized_model_filepath = str(optimized)
        # Else the weights would have to fit into one protobuf message of 2 GiB.
        for key, value in (("file_name", "weights"), ("min_size_in_bytes", "1024")):
            options.add_session_config_entry(f"session.optimized_model_external_initializers_{key}", value)
        try:
            library.InferenceSession(str(folder / engine.GRAPH), options, providers=["CPUExecutionProvider"])
        # Its exceptions share no base of their own but Exception (1.20 to 1.31).
        except Exception as error:
            raise EngineError(
                f"ONNX Runtime {library.__version__} refuses the graph: {error}",
                where=str(folder / engine.GRAPH),
            ) from error
        graph = onnx.load(str(optimized), load_external_data=False).graph
    return ExecutedGraph("onnxruntime", library.__version__, _kernels(graph))


def _kernels(graph: GraphProto) -> tuple[Kernel, ...]:
    from onnx import helper

    makers = {output: node for node in graph.node for output in node.output}
    stored = {
        tensor.name: str(helper.tensor_dtype_to_np_dtype(tensor.data_type)) for tensor in graph.initializer
    }
    found = []
    for node in graph.node:
        types = tuple(_type(name, makers, stored) for name in node.input[:2])
        # A fused activation has a name of ONNX Runtime's own, but gives the tensor that the graph's last
        # node gave, and the graph writer calls nodes as it calls their outputs.
        found.append(Kernel(node.op_type, (node.name, *node.output), integers(types), types))
    return tuple(found)


def _type(tensor: str, makers: dict[str, NodeProto], stored: dict[str, str]) -> str:
    """Return the type of a tensor, as far as the nodes above it tell; empty where they do not."""
    node = makers.get(tensor)
    while node is not None and node.op_type in _KEEPING and node.input[0] in makers:
        node = makers[node.input[0]]
    if node is None:
        return stored.get(tensor, "")
    if node.op_type == "QuantizeLinear":
        return stored.get(node.input[2], "") if len(node.input) > 2 else "uint8"
    if node.op_type == "DequantizeLinear":
        return stored.get(node.input[1], "float32")
    return ""
