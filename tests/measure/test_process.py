from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_bundles
import numpy as np
import pytest

from edgeroberta.measure.process import Worker, WorkerError
from edgeroberta.measure.protocol import RowStatus, SubjectSpec
from edgeroberta.measure.subjects import SUBJECTS

Start = Callable[..., Worker]
INPUTS = ["a", "bb", "a\u2028line", "\ud800 half a pair"]


@pytest.fixture
def start(monkeypatch) -> Iterator[Start]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    started: list[Worker] = []

    def begin(subject: str, *, timeout: float = 60.0) -> Worker:
        started.append(Worker(SubjectSpec(f"fake_subjects:{subject}", "", INPUTS), timeout=timeout))
        return started[-1]

    yield begin
    for worker in started:
        worker.close()


def failure(call: Callable[[], object]) -> WorkerError:
    with pytest.raises(WorkerError) as raised:
        call()
    return raised.value


def test_a_worker_opens_times_and_answers(start):
    worker = start("Subject")
    opened = worker.open()
    assert (opened.engine, opened.version, opened.bytes, opened.vocab_size) == ("fake", "1.0", 1234, 600)
    assert opened.cold_start_s > 0
    assert len(worker.time([[0], [1], [0, 1]], limit_s=9).seconds) == 3
    short, long = worker.time_ids([10, 1000], batch=2, seed=0, limit_s=9).seconds
    assert short >= 0.0002
    assert long >= 0.02
    np.testing.assert_array_equal(worker.outputs([1, 0, 2]).values, [[2, 3], [1, 3], [6, 3]])
    np.testing.assert_array_equal(worker.outputs([1, 0], way="alone").values, [[2, 1], [1, 1]])
    np.testing.assert_array_equal(worker.outputs([1], way="padded-64").values, [[2, 64]])
    assert worker.memory() > 1_000_000


def test_what_an_engine_prints_does_not_reach_the_answers(start):
    worker = start("Noisy")
    worker.open()
    assert len(worker.time([[0]] * 6, limit_s=9).seconds) == 6


def test_a_crash_is_told_with_its_signal_and_last_words(start):
    worker = start("Crashing")
    worker.open()
    error = failure(lambda: worker.time_ids([8], batch=1, seed=0, limit_s=9))
    assert error.status is RowStatus.CRASHED
    assert error.what == "killed by SIGSEGV: stack smashed"


def test_a_worker_that_hangs_is_stopped(start):
    worker = start("Hanging", timeout=60)
    worker.open()
    worker.timeout = 0.2
    error = failure(lambda: worker.time_ids([8], batch=1, seed=0, limit_s=9))
    assert (error.status, error.what) == (RowStatus.TIMED_OUT, "no answer within 0.2 s")


def test_an_error_of_ours_keeps_its_words_and_hint(start):
    error = failure(start("refuse").open)
    assert error.status is RowStatus.FAILED
    assert str(error) == "model.onnx: the graph is odd\n  next: make it anew"


def test_a_missing_package_is_told_apart_from_a_failure(start):
    error = failure(start("miss").open)
    assert error.status is RowStatus.MISSING
    assert error.hint == "pip install 'edgeroberta[engine9]'"


def test_an_unexpected_error_is_a_crash_with_its_last_line(start):
    error = failure(start("stumble").open)
    assert error.status is RowStatus.CRASHED
    assert error.what == "ended with exit code 1: KeyError: 'a bug of ours'"


def test_a_worker_that_is_not_open_says_so(start):
    worker = start("Subject")
    assert failure(worker.memory).what == "the worker is not running"


def test_closing_ends_the_process_and_may_be_done_twice(start):
    with start("Subject") as worker:
        worker.open()
        process = worker._process
        assert process is not None
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


def test_a_real_bundle_is_opened_and_padded_by_the_worker(tmp_path):
    folder = fake_bundles.write(tmp_path / "bundle")
    texts = ["a film", "a film " * 60]
    spec = SubjectSpec(SUBJECTS["bundle"], str(folder), texts, engine="onnxruntime")
    with Worker(spec) as worker:
        opened = worker.open()
        assert (opened.engine, opened.vocab_size) == ("onnxruntime", 600)
        sizes = [(folder / name).stat().st_size for name in ("model.onnx", "tokenizer.json")]
        assert opened.bytes == sum(sizes)
        alone = worker.outputs([0, 1], way="alone").values
        for way in ("batched", "padded-64", "padded-512"):
            np.testing.assert_allclose(worker.outputs([0, 1], way=way).values, alone, atol=1e-4)
        assert len(worker.time_ids([16, 16], batch=4, seed=0, limit_s=9).seconds) == 2


def test_pairs_reach_the_worker_as_pairs():
    spec = SubjectSpec("x:y", "", [("a", "b"), ("c", "d")])
    assert SubjectSpec.from_json(spec.to_json() | {"inputs": [["a", "b"], ["c", "d"]]}) == spec


def test_a_real_bundle_tells_where_its_time_goes(tmp_path):
    folder = fake_bundles.write(tmp_path / "bundle")
    spec = SubjectSpec(SUBJECTS["bundle"], str(folder), ["a film " * 60], engine="onnxruntime")
    with Worker(spec) as worker:
        assert worker.open().device_clock is False
        calls = worker.time([[0]] * 6, limit_s=9)
        assert min(calls.tokenize) > 0
        assert min(calls.engine) > 0
        assert worker.time_ids([16, 16], batch=4, seed=0, limit_s=9).tokenize == [0.0, 0.0]
