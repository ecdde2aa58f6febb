"""Int16 saturation: the check against brute force, the emulation against the real engine, and the cure."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeroberta.quantization.calibrate import TensorStatistics
from edgeroberta.quantization.int16_saturation import (
    PAIR_LIMIT,
    at_risk,
    emulate_maddubs,
    examine,
    pair_sums,
    quantize_safely,
    unsigned,
)
from edgeroberta.quantization.scales import select_scales
from edgeroberta.roberta.quantized import ActivationRange, MatMulPlan, quantize_weight
from edgeroberta.runtime import processor

EXTREMES = (0, 255)


def exact(activations: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return activations.astype(np.int64) @ weight.astype(np.int64)


def worst_activations(weight: np.ndarray) -> np.ndarray:
    """Rows of 0 and 255 that drive every pair of every column as far up and as far down as it goes."""
    up = np.where(weight.T > 0, 255, 0)
    return np.concatenate([up, 255 - up]).astype(np.uint8)


def strong(random: np.random.Generator, inputs: int, outputs: int) -> np.ndarray:
    """Weights of which every other column has strong neighbours of one sign, the rest none."""
    weight = random.integers(100, 128, (inputs, outputs))
    weight[1::2, ::2] *= -1
    return weight.astype(np.int8)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("first", [-127, -65, -64, -1, 0, 1, 63, 64, 65, 100, 127])
@pytest.mark.parametrize("second", [-127, -65, -64, -63, 0, 1, 63, 64, 65, 127])
def test_a_pair_is_at_risk_exactly_when_some_activations_saturate_it(first, second):
    weight = np.array([[first], [second]], np.int8)
    sums = [a * first + b * second for a, b in itertools.product(EXTREMES, EXTREMES)]
    saturates = max(sums) > 32767 or min(sums) < -32768
    assert at_risk(weight).item() == saturates


def test_the_extremes_of_a_pair_are_at_0_and_255():
    for first, second in ((64, 65), (-90, 50), (-70, -70), (127, 2)):
        sums = np.add.outer(np.arange(256) * first, np.arange(256) * second)
        positive, negative = pair_sums(np.array([[first], [second]], np.int8))
        assert (sums.max(), sums.min()) == (255 * positive.item(), 255 * negative.item())


def test_the_limit_of_a_pair_is_the_largest_that_fits():
    assert 255 * PAIR_LIMIT <= 32767 < 255 * (PAIR_LIMIT + 1)
    assert -255 * PAIR_LIMIT >= -32768 > -255 * (PAIR_LIMIT + 1)


@pytest.mark.parametrize("inputs", [1, 2, 7, 8])
def test_the_check_finds_exactly_the_columns_that_brute_force_finds(random, inputs):
    weight = random.integers(-127, 128, (inputs, 40)).astype(np.int8)
    found = set()
    for column, values in enumerate(weight.T.astype(int)):
        padded = [*values, 0] if inputs % 2 else list(values)
        for first, second in zip(padded[::2], padded[1::2], strict=True):
            if any(not -32768 <= a * first + b * second <= 32767 for a in EXTREMES for b in EXTREMES):
                found.add(column)
    assert set(np.flatnonzero(at_risk(weight).any(axis=0)).tolist()) == found


def test_neighbours_are_what_counts_not_strong_weights_elsewhere():
    weight = np.array([[127, 127], [0, 127], [127, 0], [0, 0]], np.int8)
    assert at_risk(weight).any(axis=0).tolist() == [False, True]


def test_the_emulation_clips_each_pair_and_adds_up_in_32_bits():
    weight = np.array([[127], [127], [-127], [-127], [3]], np.int8)
    assert emulate_maddubs(np.full((1, 5), 255, np.uint8), weight).tolist() == [[32767 - 32768 + 765]]
    many = np.full((2000, 1), 127, np.int8)
    assert emulate_maddubs(np.full((1, 2000), 255, np.uint8), many).item() == 1000 * 32767


def test_the_emulation_is_exact_where_nothing_saturates(random):
    weight = random.integers(-64, 65, (33, 20)).astype(np.int8)
    rows = random.integers(0, 256, (50, 33)).astype(np.uint8)
    np.testing.assert_array_equal(emulate_maddubs(rows, weight), exact(rows, weight))


def test_saturating_weights_are_wrong_in_the_emulation_and_right_after_the_cure(random):
    weight = random.uniform(0.7, 1, (64, 32)).astype(np.float32)
    rows = random.integers(0, 256, (100, 64)).astype(np.uint8)
    before, before_scale = quantize_weight(weight)
    after, after_scale = quantize_safely(weight)
    truth = rows.astype(np.float32) @ weight

    def error(product: np.ndarray, scale: np.ndarray) -> float:
        return float(np.square(product * scale - truth).sum() / np.square(truth).sum())

    assert at_risk(before).any(axis=0).all()
    assert error(emulate_maddubs(rows, before), before_scale) > 1e-3
    assert not at_risk(after).any()
    np.testing.assert_array_equal(emulate_maddubs(rows, after), exact(rows, after))
    assert error(emulate_maddubs(rows, after), after_scale) < 1e-5


@given(
    weight=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.floats(-4, 4, width=32)
    )
)
@settings(max_examples=300, deadline=None)
def test_no_activation_saturates_safe_weights(weight):
    values, scale = quantize_safely(weight)
    assert not at_risk(values).any()
    rows = np.concatenate(
        [worst_activations(values), np.random.default_rng(0).integers(0, 256, (8, len(weight)), np.uint8)]
    )
    np.testing.assert_array_equal(emulate_maddubs(rows, values), exact(rows, values))
    # Rounding costs half a step, and the step that a pair gives back costs up to half a step more.
    assert (np.abs(values * scale - weight) <= scale * 1.001).all()


@given(steps=hnp.arrays(np.int16, (4, 6), elements=st.integers(-254, 254)))
@settings(max_examples=300, deadline=None)
def test_weights_on_half_steps_keep_the_limit_after_rounding(steps):
    values, _ = quantize_safely(steps.astype(np.float32) / 2)
    assert not at_risk(values).any()


def test_a_step_grows_only_as_far_as_the_worst_pair_demands():
    weight = np.zeros((8, 4), np.float32)
    weight[0] = 1.0  # a lone weight, a weak neighbour, a neighbour of the other sign, a strong neighbour
    weight[1] = 0, 0.25, -1.0, 1.0
    _, plain = quantize_weight(weight)
    values, scale = quantize_safely(weight)
    assert scale / plain == pytest.approx([1, 1.25 * 127 / 128, 1, 2 * 127 / 128], rel=1e-6)
    assert values[:2].T.tolist() == [[127, 0], [102, 26], [127, -127], [64, 64]]


def test_safe_weights_lose_less_than_7_bits_would(random):
    weight = random.normal(size=(768, 256)).astype(np.float32)
    step = np.abs(weight).max(axis=0) / 63
    seven = np.square(np.rint(weight / step) * step - weight).mean()
    values, scale = quantize_safely(weight)
    assert np.square(values * scale - weight).mean() < seven / 2


def test_zeros_and_a_single_input_are_harmless():
    for shape in ((4, 3), (1, 3)):
        values, scale = quantize_safely(np.zeros(shape, np.float32))
        assert values.shape == shape
        assert not values.any()
        assert np.isfinite(scale).all()
        assert (scale > 0).all()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("inputs", [16, 17])
def test_the_measured_clipping_is_that_of_the_emulation(random, signed, inputs):
    weight = strong(random, inputs, 10)
    grid = ActivationRange.over(-1.0, 3.0, signed=signed)
    smoothing = random.uniform(0.5, 2, inputs).astype(np.float32)
    plan = MatMulPlan(grid, smoothing, weight, np.full(10, 0.01, np.float32), np.zeros(10, np.float32))
    rows = (random.uniform(-1, 3, (40, inputs)) * smoothing).astype(np.float32)
    risk = examine(plan, rows)
    kernel = unsigned(plan, rows)
    zero = 128 if signed else grid.zero_point
    change = (emulate_maddubs(kernel, weight) - exact(kernel, weight)) * 0.01
    product = exact(kernel.astype(int) - zero, weight) * 0.01
    assert risk.error == pytest.approx(np.square(change).sum() / np.square(product).sum(), rel=1e-4)
    assert (risk.columns, risk.outputs, risk.safe) == (5, 10, False)
    assert risk.worst == 255 * np.abs(pair_sums(weight)).max()
    assert 0 < risk.clipped < 0.5
    assert risk.to_json()["pairs"] == 5 * (inputs // 2)


def test_safe_weights_are_reported_safe(random):
    weight = random.integers(-64, 65, (16, 8)).astype(np.int8)
    plan = MatMulPlan(
        ActivationRange(1.0, 0, True), None, weight, np.ones(8, np.float32), np.zeros(8, np.float32)
    )
    risk = examine(plan, random.normal(size=(20, 16)).astype(np.float32))
    assert risk.safe
    assert (risk.pairs, risk.columns, risk.clipped, risk.error) == (0, 0, 0.0, 0.0)


def test_the_search_measures_its_candidates_with_the_weights_they_will_get(random):
    rows = random.normal(size=(300, 64)).astype(np.float32)
    weight = np.abs(random.normal(size=(64, 32))).astype(np.float32)
    bias = np.zeros(32, np.float32)
    statistics = TensorStatistics(rows.min(axis=0), rows.max(axis=0), rows, len(rows))
    free = select_scales(weight, bias, statistics, symmetric=False)
    safe = select_scales(weight, bias, statistics, symmetric=False, avoid_saturation=True)
    assert at_risk(free.plan.weight).any()
    assert not at_risk(safe.plan.weight).any()
    assert free.bits == 8
    assert 7 <= safe.bits < 8
    assert safe.error > safe.free_error
    assert f"{safe.bits:.1f} bits" in safe.describe()
    assert "saturate int16 without VNNI" in safe.reason()
    plan = safe.plan
    smoothed = rows if plan.smoothing is None else rows / plan.smoothing
    product = plan.activation.fake_quantize(smoothed) @ (plan.weight * plan.weight_scale) + plan.bias
    relative = np.square(product - rows @ weight).sum() / np.square(rows @ weight).sum()
    assert relative == pytest.approx(safe.error, rel=0.5)  # which weighs tokens


# The real kernels -----------------------------------------------------------------------

RUN = """
import sys
import numpy as np

engine, folder = sys.argv[1], sys.argv[2]
x = np.load(folder + "/x.npy")
if engine == "onnxruntime":
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", sys.argv[3])
    session = onnxruntime.InferenceSession(
        folder + "/m.onnx", options, providers=["CPUExecutionProvider"]
    )
    y = session.run(None, {"x": x})[0]
else:
    import openvino
    core = openvino.Core()
    model = core.read_model(folder + "/m.onnx")
    model.reshape(list(x.shape))
    hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    y = core.compile_model(model, "CPU", hints)(x)[0]
np.save(folder + "/y.npy", y)
"""


def write_product(folder: Path, weight: np.ndarray, *, signed: bool, zero: int) -> None:
    """Write a graph of one int8 matmul with steps of 1: it gives the integer product as float32."""
    from edgeroberta.roberta.arrays import Linear
    from edgeroberta.roberta.blocks import Blocks
    from edgeroberta.roberta.onnx_builder import GraphBuilder
    from edgeroberta.roberta.quantized import QuantizationPlan

    inputs, outputs = weight.shape
    ones, none = np.ones(outputs, np.float32), np.zeros(outputs, np.float32)
    plan = MatMulPlan(ActivationRange(1.0, zero, signed), None, weight, ones, none)
    graph = GraphBuilder("product")
    x = graph.input("x", np.float32, ("rows", inputs))
    blocks = Blocks(graph, QuantizationPlan({"linear_op": plan}), np.float32)
    product, _ = blocks.product("linear_op", x, Linear(weight.astype(np.float32), none))
    graph.output(product, np.float32, ("rows", outputs))
    graph.save(folder / "m.onnx")


def run_real(command: list[str], folder: Path, engine: str, *more: str, **environment: str) -> np.ndarray:
    done = subprocess.run(
        [*command, sys.executable, "-c", RUN, engine, str(folder), *more],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return np.load(folder / "y.npy")


def case(folder: Path, *, signed: bool, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Write a saturating product and its input; return what saturation and what exact sums give."""
    random = np.random.default_rng(inputs)
    weight = strong(random, inputs, 24)
    weight[:, 20:] = random.integers(-127, 128, (inputs, 4))
    zero, shift = (0, 128) if signed else (10, 10)
    write_product(folder, weight, signed=signed, zero=zero)
    kernel = random.integers(0, 256, (5, inputs)).astype(np.uint8)
    np.save(folder / "x.npy", kernel.astype(np.float32) - shift)
    correction = shift * weight.astype(np.int64).sum(axis=0)
    return emulate_maddubs(kernel, weight) - correction, exact(kernel, weight) - correction


needs_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or "avx2" not in processor.cpuinfo(),
    reason="needs an x86 processor with AVX2",
)


@needs_x86
@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
@pytest.mark.parametrize(("signed", "inputs"), [(False, 64), (True, 62), (False, 63)])
def test_openvino_without_vnni_computes_what_the_emulation_does(tmp_path, isa, signed, inputs):
    pytest.importorskip("openvino")
    saturated, right = case(tmp_path, signed=signed, inputs=inputs)
    got = run_real([], tmp_path, "openvino", ONEDNN_MAX_CPU_ISA=isa)
    assert np.abs(saturated - right).max() > 1000
    np.testing.assert_array_equal(np.rint(got), saturated)


@pytest.mark.slow
@pytest.mark.parametrize(("signed", "inputs"), [(False, 64), (True, 62), (False, 63)])
def test_onnx_runtime_on_a_haswell_computes_what_the_emulation_does_unless_asked_to_be_exact(
    tmp_path, signed, inputs
):
    import shutil

    qemu = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if qemu is None:
        pytest.skip("needs qemu-user: apt install qemu-user")
    saturated, right = case(tmp_path, signed=signed, inputs=inputs)
    command = [qemu, "-cpu", "Haswell"]
    np.testing.assert_array_equal(np.rint(run_real(command, tmp_path, "onnxruntime", "0")), saturated)
    np.testing.assert_array_equal(np.rint(run_real(command, tmp_path, "onnxruntime", "1")), right)
