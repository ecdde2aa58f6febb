from __future__ import annotations

import sys

import numpy as np
import pytest

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import onnxruntime
from edgeroberta.runtime.lengths import Lengths

LENGTHS = Lengths((512,), ())


@pytest.fixture(scope="module")
def session(tiny_bundle):
    return onnxruntime.open(tiny_bundle, threads=1, lengths=LENGTHS)


def test_every_length_runs_as_it_is(session):
    assert [session.padded_length(n) for n in (1, 77, 512)] == [1, 77, 512]
    for length in (1, 77, 512):
        ids = np.full((2, length), 5)
        logits = session.run(ids, np.ones_like(ids))
        assert (logits.shape, logits.dtype) == ((2, 2), np.float32)


def test_padding_does_not_change_an_answer(session):
    ids = np.array([[0, 88, 269, 321, 2]])
    alone = session.run(ids, np.ones_like(ids))
    padded = np.pad(ids, ((0, 0), (0, 59)), constant_values=1)
    mask = np.pad(np.ones_like(ids), ((0, 0), (0, 59)))
    np.testing.assert_allclose(session.run(padded, mask), alone, atol=1e-5)


def test_a_failing_call_is_an_engine_error_and_nothing_is_printed(session, capfd):
    ids = np.full((1, 4), 10_000)  # the vocabulary has 600 entries
    with pytest.raises(EngineError, match=r"ONNX Runtime failed: .*out of data bounds"):
        session.run(ids, np.ones_like(ids))
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_is_none_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    with pytest.raises(EngineError, match=r"model.onnx: ONNX Runtime [\d.]+ refuses the graph: "):
        onnxruntime.open(tmp_path, threads=1, lengths=LENGTHS)


def test_without_the_package_the_pip_line_is_told(tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UnavailableError) as caught:
        onnxruntime.open(tiny_bundle, threads=1, lengths=LENGTHS)
    assert (caught.value.code, caught.value.exit_code) == ("unavailable.extra", 4)
