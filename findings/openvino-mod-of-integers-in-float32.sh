#!/bin/sh
# OpenVINO 2026.4.1 on a CPU: Mod of int64 tensors gives remainders of the numbers rounded to float32.
#
# Expected: (2**24 + 1) mod 1024 is 1, as in ONNX Runtime 1.32.0 and numpy. Seen: 0, since float32 holds no odd
# numbers from 2**24 on. Nothing warns, and what is looked up by a remainder, as in a hash table, is another
# entry. Keep what is divided below 2**24.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 \
  openvino==2026.4.1 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

graph = helper.make_graph(
    [helper.make_node("Mod", ["x", "divisor"], ["y"])],
    "remainder",
    [helper.make_tensor_value_info("x", TensorProto.INT64, [4])],
    [helper.make_tensor_value_info("y", TensorProto.INT64, [4])],
    [numpy_helper.from_array(np.array(1024, np.int64), "divisor")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
with open("model.onnx", "wb") as file:
    file.write(model.SerializeToString())

numbers = np.array([1025, 2**24 - 1, 2**24 + 1, 50_000_001], np.int64)
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
right = session.run(None, {"x": numbers})[0]
compiled = ov.Core().compile_model("model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
seen = compiled([numbers])[0]
print("numbers:     ", numbers)
print("numpy:       ", numbers % 1024)
print("ONNX Runtime:", right)
print("OpenVINO:    ", seen)
exact = (right == numbers % 1024).all() and (seen[:2] == right[:2]).all()
sys.exit(0 if exact and (seen[2:] != right[2:]).any() else "changed")
PYTHON
