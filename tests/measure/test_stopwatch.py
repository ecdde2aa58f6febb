from __future__ import annotations

import time
from pathlib import Path

import fake_bundles
import numpy as np
import pytest

from edgeroberta.measure.clock import time_calls
from edgeroberta.measure.stopwatch import Stopwatch, TimedSession, timed
from edgeroberta.runtime import Runtime


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return fake_bundles.write(tmp_path_factory.mktemp("bundle"))


def test_a_runtime_on_the_clock_answers_the_same(folder):
    with Runtime.open(folder) as runtime:
        watch = Stopwatch()
        found = timed(runtime, watch)
        assert found("a film") == runtime("a film")
        assert found(["a film", "no"]) == runtime(["a film", "no"])
        assert (found.engine, found.engine_version) == (runtime.engine, runtime.engine_version)
        assert watch.tokenize > 0
        assert watch.engine > 0


def test_parts_of_a_call_are_its_own_and_no_more_than_the_call(folder):
    with Runtime.open(folder) as runtime:
        watch = Stopwatch()
        calls = time_calls(timed(runtime, watch), ["a film " * 50, "no"] * 20, watch=watch)
    whole, tokenize, engine = map(np.array, (calls.seconds, calls.tokenize, calls.engine))
    assert (tokenize > 0).all()
    assert (engine > 0).all()
    assert (tokenize + engine <= whole).all()
    assert calls.device == []


class Slow:
    """A session whose device says that it took less than the caller waited."""

    name, version = "slow", "1"

    def padded_length(self, length: int) -> int:
        return length

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        time.sleep(0.002)
        return np.zeros((len(ids), 2), np.float32)

    def run_timed(self, ids: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, float]:
        return self.run(ids, mask), 0.0005

    def close(self) -> None:
        pass


def test_the_device_s_clock_is_asked_only_on_request():
    watch = Stopwatch()
    session = TimedSession(Slow(), watch)
    ids = np.ones((1, 4), np.int64)
    assert session.device_clock
    session.run(ids, ids)
    assert watch.device is None
    watch.ask_device = True
    session.run(ids, ids)
    session.run(ids, ids)
    assert watch.device == pytest.approx(0.001)
    assert watch.engine >= 0.006
