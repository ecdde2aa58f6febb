"""Writes a half-precision graph in float32, to compare the size of its engine with."""

from __future__ import annotations

from pathlib import Path


def widen(graph: Path, output: Path) -> None:
    """Write a float16 ONNX file as float32; its weights go to ``<name>_data`` beside it."""
    import numpy as np
    import onnx
    from onnx import TensorProto, numpy_helper

    model = onnx.load(str(graph))
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            wide = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    onnx.save(model, str(output), save_as_external_data=True, location=f"{output.name}_data")
