from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import openvino
from edgeroberta.runtime.lengths import Lengths

LENGTHS = Lengths((16,), (32, 512))


@pytest.fixture(scope="module")
def session(tiny_bundle):
    return openvino.open(tiny_bundle, threads=1, lengths=LENGTHS)


def test_warm_lengths_are_compiled_at_once_and_others_when_met(tiny_bundle):
    session = openvino.open(tiny_bundle, threads=1, lengths=LENGTHS)
    assert list(session._compiled) == [16]
    ids = np.full((1, session.padded_length(20)), 5)
    session.run(ids, np.ones_like(ids))
    assert list(session._compiled) == [16, 32]


def test_a_batch_gives_what_its_rows_give(session):
    ids = np.random.default_rng(0).integers(5, 600, (3, 16))
    mask = np.ones_like(ids)
    together = session.run(ids, mask)
    assert (together.shape, together.dtype) == ((3, 2), np.float32)
    for row in range(3):
        alone = session.run(ids[row : row + 1], mask[row : row + 1])
        np.testing.assert_array_equal(together[row], alone[0])


def test_an_answer_is_not_overwritten_by_the_next_one(session):
    ids = np.full((1, 16), 7)
    first = session.run(ids, np.ones_like(ids))
    kept = first.copy()
    session.run(np.full((1, 16), 99), np.ones_like(ids))
    np.testing.assert_array_equal(first, kept)


def test_a_length_is_compiled_once_however_many_threads_meet_it(tiny_bundle):
    session = openvino.open(tiny_bundle, threads=1, lengths=LENGTHS)
    ids = np.full((1, 32), 5)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: session.run(ids, np.ones_like(ids)), range(40)))
    assert list(session._compiled) == [16, 32]
    assert len(session._compiled[32].idle) <= 8
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_a_graph_that_is_none_is_refused(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net>")
    with pytest.raises(EngineError, match=r"openvino_model.xml: OpenVINO [\d.]+ refuses the graph: "):
        openvino.open(tmp_path, threads=1, lengths=LENGTHS)


def test_a_failing_call_is_an_engine_error(session):
    ids = np.full((1, 16), 5, np.float64)
    with pytest.raises(EngineError, match="OpenVINO failed: "):
        session.run(ids, np.ones((2, 3), np.int64))


def test_without_the_package_the_pip_line_is_told(tiny_bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(UnavailableError) as caught:
        openvino.open(tiny_bundle, threads=1, lengths=LENGTHS)
    assert (caught.value.code, caught.value.exit_code) == ("unavailable.extra", 4)


def test_opening_it_reports_nothing_and_writes_nothing_to_the_home_folder(tiny_bundle, tmp_path):
    # Another process, since this one may have imported it already; no socket, whatever it tries.
    script = """
import socket, sys
from pathlib import Path
def refuse(*arguments):
    raise AssertionError("a connection")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from edgeroberta.runtime import openvino
from edgeroberta.runtime.lengths import Lengths
openvino.open(Path(sys.argv[1]), threads=1, lengths=Lengths((16,), (16,))).close()
import openvino
assert not [name for name in sys.modules if name.startswith("openvino_telemetry")]
import openvino_telemetry  # who wants it has it
"""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(tiny_bundle)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()
