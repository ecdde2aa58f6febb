"""Sessions on fake engines: the values, the shapes, the threads, and what is freed."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_cuda import Error
from tensorrt_bundles import expected, graph, ids

from edgeroberta.errors import EngineError
from edgeroberta.runtime import tensorrt
from edgeroberta.runtime.lengths import Lengths
from edgeroberta.runtime.tensorrt import execution, library
from edgeroberta.runtime.tensorrt import tensorrt_session as sessions

LENGTHS = Lengths((16, 32), (64, 512))


@pytest.fixture
def session(fake, folder):
    return tensorrt.open(folder, threads=1, lengths=LENGTHS)


def answers_right(session, *shape, seed=0):
    values, mask = ids(*shape, seed=seed)
    np.testing.assert_allclose(session.run(values, mask), expected(values, mask), atol=1e-4, rtol=0)


def test_both_engines_answer_right_on_every_version(every, folder):
    for opener, atol in ((tensorrt.open, 1e-4), (tensorrt.open_fp16, 0.02)):
        session = opener(folder, threads=1, lengths=LENGTHS)
        for count, length in ((1, 16), (3, 32), (1, 64), (8, 512), (2, 16), (1, 16)):
            values, mask = ids(count, length)
            logits = session.run(values, mask)
            assert (logits.shape, logits.dtype) == ((count, 2), np.float32)
            np.testing.assert_allclose(logits, expected(values, mask), atol=atol, rtol=0)
        assert session.version == every.version
        session.close()
    assert every.gpu.alive == 0
    gc.collect()
    assert [context() for context in every.contexts if context() is not None] == []


def test_names_and_versions_are_told(fake, folder):
    session = tensorrt.open_fp16(folder, threads=1, lengths=LENGTHS)
    assert (session.name, session.version) == ("tensorrt-fp16", "10.3.0")
    facts = session.facts()
    assert facts["library"] == "TensorRT 10.3.0"
    assert (facts["precision"], facts["device"], facts["sm"]) == ("fp16", "Orin", "8.7")
    assert facts["engine_bytes"] > 0
    assert not facts["reused"]
    assert tensorrt.open_fp16(folder, threads=1, lengths=LENGTHS).facts()["reused"]


def test_a_batch_larger_than_the_profile_is_split(session):
    answers_right(session, 21, 32)


@pytest.mark.parametrize("kind", ["FLOAT", "FLOAT16"])
def test_a_label_per_token_has_its_place_whatever_the_engine_is_padded_to(every, tmp_path, kind):
    graph(tmp_path / "tensorrt.onnx", per_token=True, logits=kind)
    session = tensorrt.open(tmp_path, threads=1, lengths=LENGTHS)
    # 5 tokens are fewer than the engine takes, 21 texts more than it takes at once; a graph comes at 3 x 20.
    for count, length in ((1, 5), (3, 20), (3, 20), (3, 20), (21, 33), (1, 512), (8, 512), (0, 7)):
        values, mask = ids(count, length)
        found = session.run(values, mask)
        assert (found.shape, found.dtype) == ((count, length, 2), np.float32)
        np.testing.assert_allclose(
            found, expected(values, mask, per_token=True), atol=1e-6 if kind == "FLOAT" else 2e-3, rtol=0
        )
    assert session.run_timed(*ids(2, 9))[0].shape == (2, 9, 2)
    session.close()
    assert every.gpu.alive == 0


def test_no_texts_give_no_answers(session):
    assert session.run(np.zeros((0, 16), np.int64), np.zeros((0, 16), np.int64)).shape == (0, 2)


def test_lengths_between_the_profiles_are_padded_to_the_next_one(session):
    assert [session.padded_length(length) for length in (5, 17, 33, 500)] == [16, 32, 64, 512]
    for length in (5, 20, 33, 100):
        answers_right(session, 2, length)


def test_longer_texts_than_the_engine_takes_are_an_error(session):
    with pytest.raises(EngineError, match="513 tokens, where the engine was built for up to 512"):
        session.run(*ids(1, 513))


def test_int32_ids_are_given_where_the_graph_wants_them(fake, tmp_path):
    graph(tmp_path / "tensorrt.onnx", ids="INT32")
    session = tensorrt.open(tmp_path, threads=1, lengths=LENGTHS)
    answers_right(session, 3, 16)


def test_bfloat16_outputs_are_widened(session):
    session._loaded._logits_dtype = np.uint16
    wanted = np.array([[1.5, -2.0]], np.float32)
    raw = (wanted.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8).ravel()
    np.testing.assert_array_equal(session._loaded.outputs(raw, 1, 16), wanted)


def test_weights_beside_the_graph_are_found(fake, tmp_path):
    graph(tmp_path / "tensorrt.onnx", external=True)
    assert (tmp_path / "tensorrt.onnx_data").is_file()
    session = tensorrt.open(tmp_path, threads=1, lengths=LENGTHS)
    answers_right(session, 2, 16)


def test_an_answer_is_not_overwritten_by_the_next_one(session):
    first = session.run(*ids(1, 16))
    kept = first.copy()
    session.run(*ids(1, 16, seed=1))
    np.testing.assert_array_equal(first, kept)


def test_nan_stays_nan(fake, folder):
    fake.nan = True
    session = tensorrt.open(folder, threads=1, lengths=LENGTHS)
    assert np.isnan(session.run(*ids(2, 16))).all()


def test_threads_get_a_context_each_and_right_answers(every, folder):
    session = tensorrt.open(folder, threads=1, lengths=LENGTHS)
    barrier = threading.Barrier(6)

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(25):
            answers_right(session, 1 + turn % 3, (16, 32, 48)[(number + turn) % 3], seed=100 * number + turn)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert 1 <= len(session._idle) <= 6
    assert len(every.gpu.streams) == len(session._idle)
    session.close()
    assert every.gpu.alive == 0


def test_frequent_shapes_run_as_cuda_graphs(fake, session):
    assert session.facts()["cuda_graphs"] is True
    assert session.facts()["graph_note"] == "2 shapes captured"
    fake.gpu.called.clear()
    answers_right(session, 1, 16, seed=3)
    # One copy in, the graph, one copy out, and a wait.
    assert fake.gpu.called == [
        "cudaMemcpyAsync",
        "cudaGraphLaunch",
        "cudaMemcpyAsync",
        "cudaStreamSynchronize",
    ]


def test_the_number_of_graphs_is_bounded(fake, session):
    for length in range(33, 45):
        for _ in range(3):
            answers_right(session, 1, length)
    assert len(fake.gpu.graphs) == execution._GRAPHS


def test_an_engine_that_cannot_be_captured_runs_without_graphs_and_says_so(fake, folder):
    fake.capturable = False
    session = tensorrt.open(folder, threads=1, lengths=LENGTHS)
    answers_right(session, 1, 16)
    facts = session.facts()
    assert facts["cuda_graphs"] is False
    assert "operation not permitted when stream is capturing" in facts["graph_note"]
    session.close()
    assert fake.gpu.alive == 0


def test_rtx_captures_by_itself(folder):
    from fake_tensorrt import RTX, FakeTensorRt

    with FakeTensorRt(RTX, rtx=True).installed() as rtx:
        session = tensorrt.open(folder, threads=1, lengths=LENGTHS)
        assert "cudaStreamBeginCapture" not in rtx.gpu.called
        assert session.facts()["graph_note"] == "captured by TensorRT-RTX itself"
        assert session.facts()["library"] == f"TensorRT-RTX {RTX}"


def test_the_engine_alone_is_timed_on_the_device(fake, session):
    values, mask = ids(11, 32)
    logits, seconds = session.run_timed(values, mask)
    np.testing.assert_allclose(logits, expected(values, mask), atol=1e-4, rtol=0)
    assert 0 < seconds < 5
    session.close()
    assert fake.gpu.alive == 0


def test_a_closed_session_refuses_calls_and_may_be_closed_again(session):
    session.close()
    session.close()
    with pytest.raises(EngineError, match="the session is closed"):
        session.run(*ids(1, 16))


def test_closing_waits_for_nothing_and_frees_all_when_the_last_call_ends(fake, session, monkeypatch):
    inside, go_on = threading.Event(), threading.Event()
    run = execution.ExecutionContext.run

    def slow(self, *arguments, **options):
        inside.set()
        assert go_on.wait(10)
        return run(self, *arguments, **options)

    monkeypatch.setattr(execution.ExecutionContext, "run", slow)
    values, mask = ids(1, 16)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(session.run, values, mask)
        assert inside.wait(10)
        session.close()
        assert fake.gpu.alive > 0
        go_on.set()
        np.testing.assert_allclose(answer.result(10), expected(values, mask), atol=1e-4, rtol=0)
    assert fake.gpu.alive == 0


@pytest.mark.parametrize("call", ["cudaMalloc", "cudaHostAlloc"])
def test_a_device_without_memory_is_told_and_nothing_leaks(fake, folder, call):
    fake.gpu.fails[call] = Error.cudaErrorMemoryAllocation
    with pytest.raises(EngineError, match=f"CUDA: {call} failed: MemoryAllocation"):
        tensorrt.open(folder, threads=1, lengths=LENGTHS)
    assert fake.gpu.alive == 0


def test_a_failing_copy_is_an_engine_error(fake, session):
    fake.gpu.fails["cudaMemcpyAsync"] = Error.cudaErrorMemoryAllocation
    with pytest.raises(EngineError, match="CUDA: cudaMemcpyAsync failed"):
        session.run(*ids(1, 16))
    del fake.gpu.fails["cudaMemcpyAsync"]
    answers_right(session, 1, 16)
    session.close()
    assert fake.gpu.alive == 0


def test_a_session_that_fails_while_it_warms_up_leaves_nothing(fake, folder):
    fake.gpu.fails["cudaMemcpyAsync"] = Error.cudaErrorMemoryAllocation
    with pytest.raises(EngineError, match="CUDA: cudaMemcpyAsync failed"):
        tensorrt.open(folder, threads=1, lengths=LENGTHS)
    assert fake.gpu.alive == 0


@pytest.mark.parametrize("error", [EngineError("no memory"), MemoryError()])
def test_a_lane_that_cannot_be_made_after_close_frees_the_engine(session, monkeypatch, error):
    session._drop(session._idle.pop())  # as when another thread has the only lane

    def fail(*arguments):
        session.close()
        raise error

    monkeypatch.setattr(sessions, "ExecutionContext", fail)
    with pytest.raises(type(error)):
        session.run(*ids(1, 16))
    assert session._loaded.engine is None


def test_a_failure_is_not_explained_by_errors_of_before(fake, folder):
    fake.capturable = False  # which is logged as an error, and is none
    session = tensorrt.open(folder, threads=1, lengths=LENGTHS)
    log = session._loaded.log
    assert "not permitted when stream is capturing" in log.errors()
    fake.refuses = True
    with pytest.raises(EngineError, match="TensorRT refuses the call: it does not say why"):
        session.run(*ids(1, 16))


def test_errors_are_read_while_other_threads_log(fake):
    import sys

    log = library.EngineLog(library.find())
    severity, stop = fake.module.ILogger.Severity.ERROR, threading.Event()
    interval = sys.getswitchinterval()
    for _ in range(2000):  # so many that reading them takes longer than a turn of a thread
        log.logger.log(severity, "again")
    sys.setswitchinterval(1e-6)

    def chatter():
        while not stop.is_set():
            log.logger.log(severity, "again")

    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(chatter)
        try:
            for _ in range(100):
                assert log.errors() == "again"
                mark = log.mark()
                assert log.errors(mark) in ("", "again")
        finally:
            stop.set()
            sys.setswitchinterval(interval)
        talking.result(10)
    mark = log.mark()
    assert log.errors(mark) == ""
    log.logger.log(severity, "new")
    assert log.errors(mark) == "new"
