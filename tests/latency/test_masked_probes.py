from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeroberta.latency import probe_timing, probes
from edgeroberta.roberta.graph import GraphForm, build_graph
from edgeroberta.roberta.shape import EncoderShape, LayerShape
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.session import open_session
from edgeroberta.runtime.tokenizer import TextTokenizer

SHAPE = EncoderShape(600, 32, 8, 66, 1, 20, (LayerShape(4, 64),) * 2, "fill-mask")
PLAN: Any = SimpleNamespace(shape=SHAPE, activation="gelu")


@pytest.fixture
def session(tmp_path):
    weights = probes.random_weights(probes._config(PLAN, SHAPE.layers))
    graph = build_graph(weights, probes.plausible_plan(weights, GraphForm(), attention=False), GraphForm())
    graph.builder.save(tmp_path / "model.onnx")
    opened = open_session("onnxruntime", tmp_path, threads=1, lengths=Lengths((64,), ()))
    yield opened
    opened.close()


def test_a_probe_that_fills_masks_fills_the_token_that_begins_a_text(session):
    ids = np.array([[0, 7, 8, 9, 2], [0, 8, 8, 9, 2]])
    assert session.run(ids, np.ones_like(ids)).shape == (2, 20)


def test_what_a_call_takes_outside_of_the_engine_is_timed_with_a_mask(session, tokenizer_folder):
    texts = ["a great film", "a dull story and a good plot"]
    timer = probe_timing._OverheadTimer(PLAN, session, TextTokenizer.open(tokenizer_folder, 64), texts)
    timer.round()
    assert len(timer.overheads()) == 2
    assert min(timer.overheads()) > 0
