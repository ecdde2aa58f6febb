#!/bin/sh
# OpenVINO 2026.4.1: one ONNX file, read and saved twice by one process, gives two different .xml files.
#
# Expected: the same input gives the same bytes, so that a digest of a folder tells whether a model changed. Seen:
# nodes that the reader makes itself (of a LayerNormalization, say) are named after a counter that the
# whole process shares, so the names depend on what was read before; the .bin is the same. Rename them, or
# write each model from a fresh process, before hashing.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 openvino==2026.4.1 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

shape = ["n", 8]
graph = helper.make_graph(
    [helper.make_node("LayerNormalization", ["x", "scale", "shift"], ["y"], axis=-1)],
    "norm",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    [numpy_helper.from_array(np.ones(8, np.float32), name) for name in ("scale", "shift")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
with open("model.onnx", "wb") as file:
    file.write(model.SerializeToString())
for name in ("first", "second"):
    ov.save_model(ov.Core().read_model("model.onnx"), f"{name}.xml", compress_to_fp16=False)


def equal(ending):
    with open(f"first.{ending}", "rb") as one, open(f"second.{ending}", "rb") as other:
        return one.read() == other.read()


print("xml equal:", equal("xml"), " bin equal:", equal("bin"))
sys.exit(0 if not equal("xml") and equal("bin") else "changed")
PYTHON
