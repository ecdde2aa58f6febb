#!/bin/sh
# ONNX Runtime 1.32.0: one graph, written in ONNX Runtime's own format again and again, gives different files.
#
# Expected: the same input gives the same bytes, so that a digest of a folder tells whether a model changed. Seen:
# the table of operators at the front is in another order from one writing to the next; size and answers are the
# same. Keep such a file out of a digest, or compare answers.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

operators = ("Abs", "Neg", "Exp", "Tanh", "Sigmoid", "Relu", "Sqrt", "Floor", "Ceil", "Sin", "Cos", "Erf")
names = ["x", *(f"t{number}" for number in range(1, len(operators))), "y"]
nodes = [helper.make_node(one, [names[n]], [names[n + 1]]) for n, one in enumerate(operators)]
shape = ["n", 4]
graph = helper.make_graph(
    nodes,
    "chain",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
files, answers = set(), set()
for number in range(8):
    file = Path(f"{number}.ort")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(file)
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.log_severity_level = 4
    onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    files.add(file.read_bytes())
    written = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    answers.add(written.run(None, {"x": np.ones((2, 4), np.float32)})[0].tobytes())
sizes = {len(each) for each in files}
print(f"8 writings: {len(files)} files, {len(sizes)} size, {len(answers)} answer")
sys.exit(0 if len(files) > 1 and len(sizes) == len(answers) == 1 else "changed")
PYTHON
