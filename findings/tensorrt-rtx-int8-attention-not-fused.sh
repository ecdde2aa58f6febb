#!/bin/sh
# TensorRT-RTX 1.7.1.116: what keeps an int8 attention from being fused into one kernel: a single query, a
# single head, or an output projection that is not quantized.
#
# Expected: an attention with explicit Q/DQ on both of its matmuls fuses whatever its shape and whatever comes
# after it. Seen, at 128 tokens in half precision for compute capability 8.6: it fuses with 2 heads or more and
# with 16 or 128 queries; it does not with one query (an encoder's last layer, where only the first token
# is read), with one head (as structured pruning may leave), or where the next matmul stays float.
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


def fuses(heads, queries, *, quantized_output=True, size=32, tokens=128):
    rng = np.random.default_rng(0)
    width = heads * size
    nodes = []
    constants = {
        "step": np.float16(0.05),
        "zero": np.int8(0),
        "split": np.array([0, 0, heads, size]),
        "join": np.array([0, 0, width]),
        "begin": np.array([0]),
        "end": np.array([queries]),
        "axis": np.array([1]),
    }

    def add(kind, sources, name, **attributes):
        nodes.append(helper.make_node(kind, sources, [name], **attributes))
        return name

    def quantized(x):
        add("QuantizeLinear", [x, "step", "zero"], f"{x}.integers")
        return add("DequantizeLinear", [f"{x}.integers", "step", "zero"], f"{x}.numbers")

    def linear(x, name):
        constants[f"{name}.weight"] = rng.integers(-127, 128, (width, width)).astype(np.int8)
        constants[f"{name}.steps"] = np.full(width, 0.003, np.float16)
        constants[f"{name}.zeros"] = np.zeros(width, np.int8)
        sources = [f"{name}.weight", f"{name}.steps", f"{name}.zeros"]
        return add("MatMul", [x, add("DequantizeLinear", sources, f"{name}.matrix", axis=1)], name)

    def by_head(x, order):
        return add("Transpose", [add("Reshape", [x, "split"], f"{x}.split")], f"{x}.heads", perm=order)

    first = "x" if queries == tokens else add("Slice", ["x", "begin", "end", "axis"], "first")
    everything = quantized("x")
    asked = everything if first == "x" else quantized(first)
    query = by_head(linear(asked, "query"), [0, 2, 1, 3])
    key = by_head(linear(everything, "key"), [0, 2, 3, 1])
    value = by_head(linear(everything, "value"), [0, 2, 1, 3])
    scores = add("MatMul", [quantized(query), quantized(key)], "scores")
    shares = add("Softmax", [add("Add", [scores, "bias"], "masked")], "shares", axis=-1)
    context = add("MatMul", [quantized(shares), quantized(value)], "context")
    joined = add("Reshape", [add("Transpose", [context], "turned", perm=[0, 2, 1, 3]), "join"], "joined")
    output = linear(quantized(joined) if quantized_output else joined, "output")
    inputs = [("x", TensorProto.FLOAT16, ["b", "n", width]), ("bias", TensorProto.FLOAT16, ["b", 1, 1, "n"])]
    shapes = {"x": (1, tokens, width), "bias": (1, 1, 1, tokens)}
    plan, lines = build(nodes, inputs, output, constants, shapes)
    assert plan is not None
    return any("_gemm_mha" in message for _, message in lines)


found = {
    "4 heads, 128 queries": fuses(4, 128),
    "2 heads, 128 queries": fuses(2, 128),
    "4 heads, 16 queries": fuses(4, 16),
    "4 heads, 1 query": fuses(4, 1),
    "1 head, 128 queries": fuses(1, 128),
    "1 head of 64, 128 queries": fuses(1, 128, size=64),
    "4 heads, 128 queries, float output projection": fuses(4, 128, quantized_output=False),
}
for case, fused in found.items():
    print(f"{case}: {'fused' if fused else 'not fused'}")
sys.exit(0 if list(found.values()) == [True] * 3 + [False] * 4 else "changed")
PYTHON
