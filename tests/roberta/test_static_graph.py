from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from edgeroberta.roberta import static_graph
from edgeroberta.roberta.static_graph import PAIR_FACTOR, PRIOR, StaticWeights
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import open_session

TOKENS = 50


def weights_of(pairs: int = 64, labels: int = 3, width: int = 8) -> StaticWeights:
    random = np.random.default_rng(0)
    table = random.normal(size=(TOKENS + pairs, width + 1)).astype(np.float32)
    table[:, -1] = np.exp(table[:, -1])
    bias = random.normal(size=labels).astype(np.float32)
    shapes = ((width, labels), (width, 5), (5,), (5, labels))
    output, *hidden = (random.normal(size=shape).astype(np.float32) for shape in shapes)
    return StaticWeights(table, TOKENS, output, tuple(hidden), bias)


def by_hand(weights: StaticWeights, ids: list[int]) -> np.ndarray:
    """The answer to one text without padding, entry by entry."""
    entries = list(ids)
    if weights.pairs:
        entries += [TOKENS + (a * PAIR_FACTOR + b) % weights.pairs for a, b in itertools.pairwise(ids)]
    total = np.zeros(weights.table.shape[1], np.float64)
    for entry in entries:
        total += weights.table[entry]
    mean = total[:-1] / (total[-1] + PRIOR)
    first, shift, second = weights.hidden
    return mean @ weights.output + np.maximum(mean @ first + shift, 0) @ second + weights.bias


@pytest.mark.parametrize(
    "weights", [weights_of(), weights_of(pairs=0), weights_of(labels=1), weights_of(labels=40, width=32)]
)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_an_engine_adds_the_entries_of_tokens_and_of_pairs_and_leaves_out_padding(weights, engine, tmp_path):
    pytest.importorskip(engine)
    static_graph.write(weights, [tmp_path / "model.onnx"])
    texts = [[0, 7, 9, 7, 9, 2], [0, 49, 2], [0, 2]]
    ids, mask = np.ones((3, 8), np.int64), np.zeros((3, 8), np.int64)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    session = open_session(engine, tmp_path, threads=1, lengths=Lengths((8,), ()))
    try:
        found = session.run(ids, mask)
    finally:
        session.close()
    expected = np.stack([by_hand(weights, text) for text in texts])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_single_token_has_no_pair(tmp_path):
    weights = weights_of()
    static_graph.write(weights, [tmp_path / "model.onnx"])
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    one = np.array([[5]], np.int64)
    (found,) = session.run(None, {"input_ids": one, "attention_mask": np.ones_like(one)})
    np.testing.assert_allclose(found[0], by_hand(weights, [5]), rtol=1e-5, atol=1e-6)


def test_the_order_of_tokens_counts_by_their_pairs_alone(tmp_path):
    there, back = np.array([[0, 7, 9, 2]], np.int64), np.array([[0, 9, 7, 2]], np.int64)
    answers = {}
    for pairs in (0, 64):
        file = tmp_path / f"{pairs}.onnx"
        static_graph.write(weights_of(pairs), [file])
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        answers[pairs] = [
            session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
            for ids in (there, back)
        ]
    np.testing.assert_allclose(*answers[0], rtol=1e-6)
    assert np.abs(answers[64][0] - answers[64][1]).max() > 0.01


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_pairs_of_a_large_vocabulary_are_told_apart_on_every_engine(engine, tmp_path):
    """Products of ids above 2^24, which float32 does not hold: OpenVINO 2026.4.1 takes remainders in it."""
    pytest.importorskip(engine)
    tokens, pairs = 250_000, 2**17
    table = np.ones((tokens + pairs, 2), np.float32)
    table[:, 0] = np.arange(tokens + pairs) % 997
    one, none = np.ones((1, 1), np.float32), np.zeros(1, np.float32)
    weights = StaticWeights(table, tokens, one, (one, none, 0 * one), none)
    static_graph.write(weights, [tmp_path / "model.onnx"])
    ids = np.random.default_rng(0).integers(0, tokens, (1, 8))
    session = open_session(engine, tmp_path, threads=1, lengths=Lengths((8,), ()))
    try:
        found = session.run(ids, np.ones_like(ids))
    finally:
        session.close()
    entries = [*ids[0], *(tokens + (a * PAIR_FACTOR + b) % pairs for a, b in itertools.pairwise(ids[0]))]
    expected = sum(entry % 997 for entry in entries) / (len(entries) + PRIOR)
    assert found[0, 0] == pytest.approx(expected, rel=1e-6)


def test_more_entries_than_float32_can_number_are_refused():
    weights = weights_of()
    weights = replace(weights, table=np.zeros((2**24 + 1, 1), np.float32))
    with pytest.raises(ValueError, match="of 16777216 at most"):
        static_graph.build(weights)
