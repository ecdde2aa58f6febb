#!/bin/sh
# ONNX Runtime 1.32.0, CPU: the same int8 matmul with a bias runs in int8 when its input has three
# dimensions, and dequantizes all of its weights at every call when it has two.
#
# Expected: [n, 768] and [1, n, 768] get the same kernel. Seen: MatMul + Add of two dimensions becomes a Gemm
# before quantization is looked at, and that Gemm, whose bias is a float and whose output is a float, has no
# int8 form; at one row it takes 64 times as long (AMD EPYC, AVX-512 VNNI, one thread). A classification
# head over the first token is such a matmul.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

WIDTH = 768
rng = np.random.default_rng(0)
weights = {
    "scale": np.float32(0.02),
    "zero": np.uint8(128),
    "weight": rng.integers(-127, 128, (WIDTH, WIDTH)).astype(np.int8),
    "steps": np.full(WIDTH, 0.01, np.float32),
    "zeros": np.zeros(WIDTH, np.int8),
    "bias": rng.normal(size=WIDTH).astype(np.float32),
}
nodes = [
    helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["integers"]),
    helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["numbers"]),
    helper.make_node("DequantizeLinear", ["weight", "steps", "zeros"], ["matrix"], axis=1),
    helper.make_node("MatMul", ["numbers", "matrix"], ["product"]),
    helper.make_node("Add", ["product", "bias"], ["y"]),
]


def measure(shape, x):
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.optimized_model_filepath = "optimized.onnx"
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load("optimized.onnx").graph.node]
    times = []
    for _ in range(20):
        started = time.process_time()
        for _ in range(50):
            session.run(None, {"x": x})
        times.append(time.process_time() - started)
    return kinds, min(times) / 50 * 1e3


x = rng.normal(size=(1, WIDTH)).astype(np.float32)
three, three_ms = measure([1, "n", WIDTH], x[None])
two, two_ms = measure(["n", WIDTH], x)
print(f"three dimensions: {three}, {three_ms:.3f} ms")
print(f"two dimensions:   {two}, {two_ms:.3f} ms, {two_ms / three_ms:.0f} times as long")
as_written = "MatMulIntegerToFloat" in three and "Gemm" in two and two_ms > 5 * three_ms
sys.exit(0 if as_written else "changed")
PYTHON
