#!/bin/sh
# TensorRT-RTX 1.7.1.116: an int8 embedding table may not be read by Gather; the same table behind a
# DequantizeLinear over rows may, and stays int8 in the engine.
#
# Expected: Gather moves bytes and takes any type, as ONNX says (an int8 table is valid there), so the
# rows are gathered first and only those are dequantized. Seen: the parser accepts it and the build refuses it
# ("Quantized constant is only allowed before DQ"); with DequantizeLinear first the plan is no larger than the
# int8 table and a little, so nothing is stored as float.
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "skipped: TensorRT-RTX has wheels for Linux on x86-64"; exit 77; }
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 tensorrt-rtx==1.7.1.116 numpy==2.4.6
cd "$work"
OMP_NUM_THREADS=1 "$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import tensorrt_rtx as trt
from onnx import TensorProto, helper, numpy_helper


class Log(trt.ILogger):
    def __init__(self):
        super().__init__()
        self.lines = []

    def log(self, severity, message):
        self.lines.append((severity, message))


def build(nodes, inputs, output, constants, shapes):
    """Build an engine for compute capability 8.6 without a GPU; return the plan and the log."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT16, ["b", "n", "w"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        sys.exit("not parsed: " + parser.get_error(0).desc())
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    profile = builder.create_optimization_profile()
    for name, shape in shapes.items():
        profile.set_shape(name, shape, shape, shape)
    config.add_optimization_profile(profile)
    return builder.build_serialized_network(network, config), log.lines


ROWS, WIDTH = 20000, 256
rng = np.random.default_rng(0)
table = {
    "table": rng.integers(-127, 128, (ROWS, WIDTH)).astype(np.int8),
    "scale": np.full(ROWS, 0.01, np.float16),
}
inputs, shapes = [("ids", TensorProto.INT64, ["b", "n"])], {"ids": (1, 16)}
gathered = [
    helper.make_node("Gather", ["table", "ids"], ["rows"]),
    helper.make_node("Gather", ["scale", "ids"], ["steps"]),
    helper.make_node("Cast", ["rows"], ["numbers"], to=TensorProto.FLOAT16),
    helper.make_node("Unsqueeze", ["steps", "axis"], ["column"]),
    helper.make_node("Mul", ["numbers", "column"], ["y"]),
]
refused, lines = build(gathered, inputs, "y", {**table, "axis": np.array([-1])}, shapes)
errors = [message for severity, message in lines if severity == trt.ILogger.Severity.ERROR]
print("Gather of int8 rows:", "built" if refused else errors[0].partition(" (")[2][:90])
dequantized = [
    helper.make_node("DequantizeLinear", ["table", "scale", "zero"], ["numbers"], axis=0),
    helper.make_node("Gather", ["numbers", "ids"], ["y"]),
]
plan, _ = build(dequantized, inputs, "y", {**table, "zero": np.zeros(ROWS, np.int8)}, shapes)
share = plan.nbytes / (ROWS * WIDTH) if plan else float("nan")
print(f"DequantizeLinear, then Gather: plan of {share:.2f} bytes per number")
as_written = refused is None and any("only allowed before DQ" in each for each in errors) and share < 1.5
sys.exit(0 if as_written else "changed")
PYTHON
