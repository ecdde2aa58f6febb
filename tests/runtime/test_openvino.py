from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgeroberta.errors import EngineError, UnavailableError
from edgeroberta.runtime import openvino
from edgeroberta.runtime.compiled_graphs import CompiledGraphs
from edgeroberta.runtime.lengths import Lengths

LENGTHS = Lengths((16,), (32, 512))


@pytest.fixture(scope="module")
def session(tiny_bundle):
    return openvino.open(tiny_bundle, threads=1, lengths=LENGTHS)


def run_length(session, length):
    ids = np.full((1, session.padded_length(length)), 5)
    return session.run(ids, np.ones_like(ids))


def test_opening_compiles_the_usual_length_and_a_text_its_own(tiny_bundle):
    session = openvino.open(tiny_bundle, threads=1, lengths=Lengths((16, 32, 48), (512,), most=32))
    assert list(session._compiled) == [32]
    run_length(session, 7)
    assert list(session._compiled) == [32, 16], "padded as it always is, whatever is compiled"


def test_preparing_compiles_what_most_texts_have(tiny_bundle):
    session = openvino.open(tiny_bundle, threads=1, lengths=Lengths((16, 32, 48), (512,), most=32))
    session.prepare()
    assert sorted(session._compiled) == [16, 32, 48]


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


def opened(bundle, folder, lengths=LENGTHS, graph="1"):
    return openvino.open(
        bundle, threads=1, lengths=lengths, compiled=CompiledGraphs(folder, {"openvino_model.bin": graph})
    )


def compilations(monkeypatch):
    made = []
    real = openvino.OpenVinoSession._compiled_for

    def counted(self, model):
        made.append(model)
        return real(self, model)

    monkeypatch.setattr(openvino.OpenVinoSession, "_compiled_for", counted)
    return made


def test_what_was_compiled_is_kept_and_gives_the_same_bits(tiny_bundle, session, tmp_path, monkeypatch):
    first = opened(tiny_bundle, tmp_path)
    answers = [run_length(first, length) for length in (3, 20)]
    assert len(list(tmp_path.iterdir())) == 2
    made = compilations(monkeypatch)
    again = opened(tiny_bundle, tmp_path)
    for length, answer in zip((3, 20), answers, strict=True):
        np.testing.assert_array_equal(run_length(again, length), answer)
    assert not made
    np.testing.assert_array_equal(run_length(session, 3), answers[0], "as without a folder")


def test_kept_models_leave_the_weights_in_the_bundle(tiny_bundle, tmp_path):
    opened(tiny_bundle, tmp_path)
    (kept,) = tmp_path.iterdir()
    rows = (tiny_bundle / "openvino_model.bin").read_bytes()[:1000]
    assert len(set(rows)) > 100, "of the table of words"
    assert rows not in kept.read_bytes()


def test_other_weights_another_length_and_another_version_are_compiled_anew(
    tiny_bundle, tmp_path, monkeypatch
):
    opened(tiny_bundle, tmp_path)
    made = compilations(monkeypatch)
    opened(tiny_bundle, tmp_path, graph="2")
    assert len(made) == 1
    opened(tiny_bundle, tmp_path, Lengths((32,), (512,)))
    assert len(made) == 2
    monkeypatch.setattr("openvino.__version__", "2099.1.0-1-other")
    opened(tiny_bundle, tmp_path)
    assert len(made) == 3


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40] + b"x" + data[41:]])
def test_a_damaged_file_is_compiled_anew_and_replaced(tiny_bundle, tmp_path, monkeypatch, damage):
    answer = run_length(opened(tiny_bundle, tmp_path), 16)
    (kept,) = tmp_path.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage(whole))
    made = compilations(monkeypatch)
    np.testing.assert_array_equal(run_length(opened(tiny_bundle, tmp_path), 16), answer)
    assert len(made) == 1
    opened(tiny_bundle, tmp_path)
    assert len(made) == 1, "the new one is used"


def test_what_cannot_be_kept_answers_all_the_same(tiny_bundle, session, tmp_path, monkeypatch, caplog):
    def refuse(self):
        raise RuntimeError("no export here")

    monkeypatch.setattr("openvino.CompiledModel.export_model", refuse)
    np.testing.assert_array_equal(run_length(opened(tiny_bundle, tmp_path), 16), run_length(session, 16))
    assert "cannot keep what OpenVINO compiled (no export here)" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_graph_that_is_none_is_refused(tmp_path):
    (tmp_path / "openvino_model.xml").write_text("<net>")
    with pytest.raises(EngineError, match=r"openvino_model.xml: OpenVINO [\d.]+ refuses the graph: "):
        openvino.open(tmp_path, threads=1, lengths=LENGTHS)


def test_a_request_keeps_nothing_of_the_call_before(session):
    long, short = np.full((1, 16), 7), np.full((1, 16), 1)
    short[0, :3] = 9
    mask = (short != 1).astype(np.int64)
    first = session.run(short, mask)
    session.run(long, np.ones_like(long))
    np.testing.assert_array_equal(session.run(short, mask), first)


def test_a_failing_call_is_an_engine_error(session):
    ids = np.full((1, 16), 5, np.float64)
    with pytest.raises(EngineError, match="OpenVINO failed: "):
        session.run(ids, np.ones((1, 16), np.int64))
    with pytest.raises(EngineError, match="OpenVINO failed: "):
        session.run(ids.astype(np.int64), np.ones((2, 3), np.int64))


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
