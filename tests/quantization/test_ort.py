"""A graph in half precision is held to the float32 graph, on tiny seeded models."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.errors import EngineError
from edgeroberta.quantization import ort
from edgeroberta.roberta.graph import TENSORRT, build_graph
from edgeroberta.roberta.weights import Linear, Weights, load_weights

TEXTS = [np.arange(3, 3 + length) for length in (4, 9, 17)]


@pytest.fixture(scope="module")
def weights(make_checkpoint) -> Weights:
    return load_weights(make_checkpoint())


def write(weights: Weights, file: Path, *, scale: float = 1.0, half: bool = False) -> Path:
    """Write the graph with two matmuls in a row, of the first layer's attention, scaled."""

    def scaled(linear: Linear) -> Linear:
        return Linear(linear.weight * np.float32(scale), linear.bias)

    first = weights.layers[0]
    layer = dataclasses.replace(
        first, value=scaled(first.value), attention_output=scaled(first.attention_output)
    )
    changed = dataclasses.replace(weights, layers=(layer, *weights.layers[1:]))
    graph = build_graph(changed, form=TENSORRT) if half else build_graph(changed)
    graph.builder.save(file)
    return file


def test_a_faithful_graph_passes_and_tells_how_close_it_is(weights, tmp_path):
    exact, rounded = write(weights, tmp_path / "a.onnx"), write(weights, tmp_path / "b.onnx", half=True)
    found = ort.validate_fp16(exact, rounded, TEXTS)
    assert found["texts"] == 3
    assert 0 < found["max_logit_error"] < found["limit"]


def test_weights_that_were_rounded_wrongly_are_refused(weights, tmp_path):
    exact = write(weights, tmp_path / "a.onnx")
    wrong = write(weights, tmp_path / "b.onnx", scale=300, half=True)
    with pytest.raises(EngineError, match=r"answers otherwise than in float32: logits differ by \d"):
        ort.validate_fp16(exact, wrong, TEXTS)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_a_model_that_overflows_in_half_precision_is_refused_with_what_to_do(weights, tmp_path):
    exact = write(weights, tmp_path / "a.onnx", scale=1e9)
    over = write(weights, tmp_path / "b.onnx", scale=1e9, half=True)
    with pytest.raises(EngineError, match="overflows in half precision: 3 of 3 texts") as caught:
        ort.validate_fp16(exact, over, TEXTS)
    assert "--target cpu" in str(caught.value.hint)
    assert caught.value.exit_code == 1


def test_a_model_that_is_not_finite_itself_is_refused(weights, tmp_path):
    broken = write(weights, tmp_path / "a.onnx", scale=float("nan"))
    with pytest.raises(EngineError, match="the model itself answers with values that are not finite"):
        ort.validate_fp16(broken, broken, TEXTS)
