from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.errors import EngineError
from edgeroberta.quantization.calibrate import _Reservoir, collect
from edgeroberta.quantization.ort import open_session
from edgeroberta.roberta.graph import GraphForm, build_graph
from edgeroberta.roberta.weights import load_weights


def texts(count: int, *, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(5, 600, random.integers(3, 30)) for _ in range(count)]


def test_every_site_has_statistics_of_its_width(tiny_checkpoint, tmp_path):
    graph = build_graph(load_weights(tiny_checkpoint), form=GraphForm(observers=True))
    graph.builder.save(tmp_path / "taps.onnx")
    tensors = sorted({linear_op.tensor for linear_op in graph.linear_ops})
    inputs = texts(20)
    found = collect(tmp_path / "taps.onnx", tensors, inputs, rows=64, seed=0)
    tokens = sum(map(len, inputs))
    for linear_op in graph.linear_ops:
        statistics = found[linear_op.tensor]
        assert statistics.rows.shape == (min(64, statistics.count), len(linear_op.linear.weight))
        assert (statistics.low <= statistics.rows.min(axis=0)).all()
        assert (statistics.high >= statistics.rows.max(axis=0)).all()
    assert found["embeddings.norm"].count == tokens
    assert found["layer.1.ffn.act"].count == 20  # the last layer computes one token per text


def test_memory_and_sample_do_not_grow_with_the_number_of_rows():
    reservoir = _Reservoir(100, 1, np.random.default_rng(0))
    for start in range(0, 20000, 50):
        reservoir.add(np.arange(start, start + 50, dtype=np.float32)[:, None])
    statistics = reservoir.statistics()
    assert statistics.rows.shape == (100, 1)
    assert statistics.count == 20000
    assert (statistics.low, statistics.high) == (0, 19999)
    # A uniform sample: its mean is within four standard errors of 10,000, both halves are present.
    assert abs(statistics.rows.mean() - 10000) < 4 * 20000 / np.sqrt(12 * 100)
    assert len(np.unique(statistics.rows)) == 100


def test_the_same_seed_gives_the_same_sample(tiny_checkpoint, tmp_path):
    graph = build_graph(load_weights(tiny_checkpoint), form=GraphForm(observers=True))
    graph.builder.save(tmp_path / "taps.onnx")
    name = "layer.0.ffn.act"
    runs = [collect(tmp_path / "taps.onnx", [name], texts(9), rows=16, seed=s)[name] for s in (1, 1, 2)]
    assert np.array_equal(runs[0].rows, runs[1].rows)
    assert not np.array_equal(runs[0].rows, runs[2].rows)


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"ONNX Runtime [\d.]+ refuses the graph") as caught:
        open_session(tmp_path / "model.onnx")
    assert caught.value.where == str(tmp_path / "model.onnx")
