#!/bin/sh
# ONNX Runtime 1.32.0, x86-64 WITH VNNI: session.x64quantprecision=1, the option against saturation of
# int8 products on old processors, doubles the time of every int8 matmul, for the same bits.
#
# Expected: where nothing can saturate, an option against saturation does nothing. Seen: 2.1 to 2.5 times
# the time per matmul; the option's check only asks whether the processor has two different kernels
# (https://github.com/microsoft/onnxruntime/pull/12088). Set it only on processors without VNNI.
grep -q vnni /proc/cpuinfo || { echo "skipped: this processor has no VNNI"; exit 77; }
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
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)


def sessions(rows, columns):
    weights = {
        "scale": np.float32(0.02),
        "zero": np.uint8(128),
        "weight": rng.integers(-127, 128, (rows, columns)).astype(np.int8),
        "steps": np.full(columns, 0.01, np.float32),
        "zeros": np.zeros(columns, np.int8),
    }
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["integers"]),
            helper.make_node("DequantizeLinear", ["integers", "scale", "zero"], ["numbers"]),
            helper.make_node("DequantizeLinear", ["weight", "steps", "zeros"], ["matrix"], axis=1),
            helper.make_node("MatMul", ["numbers", "matrix"], ["y"]),
        ],
        "matmul",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", rows])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n", columns])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for entries in ({"session.x64quantprecision": "1"}, {}):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        for name, value in entries.items():
            options.add_session_config_entry(name, value)
        yield ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


as_written = True
for rows, columns, tokens in ((384, 1536, 16), (384, 1536, 128), (1536, 384, 128)):
    exact, plain = sessions(rows, columns)
    feeds = {"x": rng.normal(size=(1, tokens, rows)).astype(np.float32)}
    equal = np.array_equal(exact.run(None, feeds)[0], plain.run(None, feeds)[0])
    times = ([], [])
    for _ in range(25):
        for each, taken in zip((exact, plain), times):
            started = time.process_time()
            for _ in range(20):
                each.run(None, feeds)
            taken.append(time.process_time() - started)
    ratio = min(times[0]) / min(times[1])
    print(f"{rows} x {columns}, {tokens} tokens: bits equal {equal}, option / default {ratio:.2f}")
    as_written = as_written and equal and ratio > 1.3
sys.exit(0 if as_written else "changed: the option costs nothing any more, or the bits differ")
PYTHON
