"""Makes ``edgeroberta/check/doctor_graph``, the tiny int8 graph that ``edgeroberta doctor`` runs.

``python tests/doctor_graph.py`` writes it anew; ``test_doctor.py`` tells whether the one in the tree is it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, WIDTH, LABELS = 16, 8, 2
SCALE = 1 / 16


def build() -> onnx.ModelProto:
    """An int8 table look-up, a masked sum and an int8 matrix product with explicit Q/DQ."""
    random = np.random.default_rng(0)
    constants = {
        "table": random.integers(-8, 8, (ROWS, WIDTH)).astype(np.int8),
        "weight": random.integers(-8, 8, (WIDTH, LABELS)).astype(np.int8),
        "scale": np.array(SCALE, np.float32),
        "zero": np.array(0, np.int8),
        "last": np.array([2], np.int64),
        "words": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["table", "scale", "zero"], ["floats"]),
        node("Gather", ["floats", "input_ids"], ["embedded"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["embedded", "column"], ["masked"]),
        node("ReduceSum", ["masked", "words"], ["summed"], keepdims=0),
        node("QuantizeLinear", ["summed", "scale", "zero"], ["quantized"]),
        node("DequantizeLinear", ["quantized", "scale", "zero"], ["left"]),
        node("DequantizeLinear", ["weight", "scale", "zero"], ["right"]),
        node("MatMul", ["left", "right"], ["logits"]),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    return _model(nodes, outputs, tensors)


def build_fp16() -> onnx.ModelProto:
    """The same in float16 without Q/DQ; every number in it is a multiple of 1/256 and exact."""
    random = np.random.default_rng(0)
    constants = {
        "table": (random.integers(-8, 8, (ROWS, WIDTH)) * SCALE).astype(np.float16),
        "weight": (random.integers(-8, 8, (WIDTH, LABELS)) * SCALE).astype(np.float16),
        "last": np.array([2], np.int64),
        "words": np.array([1], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Gather", ["table", "input_ids"], ["embedded"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT16),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Mul", ["embedded", "column"], ["masked"]),
        node("ReduceSum", ["masked", "words"], ["summed"], keepdims=0),
        node("MatMul", ["summed", "weight"], ["half"]),
        node("Cast", ["half"], ["logits"], to=TensorProto.FLOAT),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", LABELS])]
    return _model(nodes, outputs, [numpy_helper.from_array(value, name) for name, value in constants.items()])


def _model(nodes: list, outputs: list, tensors: list) -> onnx.ModelProto:
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    graph = helper.make_graph(nodes, "doctor", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


#: File of the folder to the function that makes it; TensorRT takes the int8 graph as it is.
GRAPHS = {"model.onnx": build, "tensorrt.onnx": build, "model_fp16.onnx": build_fp16}


def write(folder: Path) -> None:
    """Write the graph for every engine."""
    import openvino

    folder.mkdir(parents=True, exist_ok=True)
    for name, make in GRAPHS.items():
        (folder / name).write_bytes(make().SerializeToString(deterministic=True))
    model = openvino.convert_model(str(folder / "model.onnx"))
    openvino.save_model(model, str(folder / "openvino_model.xml"), compress_to_fp16=False)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "edgeroberta/check/doctor_graph"))
