from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict

import pytest

from edgeroberta.measure import clock
from edgeroberta.measure.clock import CallShape, Latency, speed_up, spread, summarise, time_calls


def test_percentiles_are_of_all_calls_of_all_rounds():
    rounds = [[value / 1000 for value in range(1, 51)], [value / 1000 for value in range(51, 101)]]
    found = summarise(rounds, CallShape(warmup=3, threads=2))
    assert found.p50_ms == pytest.approx(50.5)
    assert found.p90_ms == pytest.approx(90.1)
    assert found.p99_ms == pytest.approx(99.01)
    assert found.round_p50_ms == pytest.approx((25.5, 75.5))
    assert (found.calls, found.rounds, found.warmup, found.threads, found.batch) == (100, 2, 3, 2, 1)


def test_texts_per_second_count_every_text_of_a_batch():
    found = summarise([[0.5, 0.5]], CallShape(warmup=0, batch=8, length=128, tokenized=False))
    assert found.texts_per_second == pytest.approx(16.0)
    assert (found.length, found.tokenized) == (128, False)


def test_a_round_without_calls_is_left_out():
    assert summarise([[0.001], []], CallShape(warmup=0)).rounds == 1


def test_speed_up_compares_round_by_round():
    """A machine three times slower in the second round would make the pooled medians lie."""
    base = summarise([[0.010] * 9, [0.030] * 1, [0.010] * 1], CallShape(warmup=0))
    fast = summarise([[0.005] * 1, [0.015] * 9, [0.005] * 1], CallShape(warmup=0))
    assert base.p50_ms / fast.p50_ms == pytest.approx(10 / 15)
    assert speed_up(base, fast) == pytest.approx(2.0)


def test_speed_up_of_separate_measurements_is_that_of_their_medians():
    base = summarise([[0.010, 0.010]], CallShape(warmup=0))
    fast = summarise([[0.004], [0.006]], CallShape(warmup=0))
    assert speed_up(base, fast) == pytest.approx(2.0)


def test_every_input_is_called_once_and_timed():
    seen: list[int] = []
    seconds = time_calls(lambda value: (seen.append(value), time.sleep(0.002)), [3, 1, 2]).seconds
    assert seen == [3, 1, 2]
    assert len(seconds) == 3
    assert min(seconds) >= 0.002


def test_a_slow_model_gets_fewer_calls_but_enough_for_a_median():
    seconds = time_calls(lambda _: time.sleep(0.01), range(1000), limit_s=0.001).seconds
    assert len(seconds) == clock.LEAST_CALLS


def test_chosen_rows_are_as_long_as_the_data():
    lengths = [1] * 50 + [10] * 40 + [100] * 10
    chosen = spread(lengths, 10)
    assert [lengths[row] for row in chosen] == [1] * 5 + [10] * 4 + [100]
    assert spread([5, 3], 10) == [0, 1]


def test_peak_memory_counts_what_was_freed_again_and_nothing_of_the_parent():
    ballast = bytearray(300_000_000)  # resident here, in the parent
    ballast[::4096] = b"x" * len(ballast[::4096])
    code = (
        "from edgeroberta.measure.clock import peak_memory as p\n"
        "a = p(); b = bytearray(80_000_000); b[::4096] = b'x' * len(b[::4096]); del b\n"
        "print(a, p())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before < 150_000_000
    assert after - before > 60_000_000
    assert len(ballast)


def test_the_mean_is_told_with_its_interval_and_by_round():
    rounds = [[0.001] * 20 + [0.011] * 20, [0.002] * 40]
    found = summarise(rounds, CallShape(warmup=0))
    assert found.mean_ms == pytest.approx(4.0)
    assert found.round_mean_ms == pytest.approx((6.0, 2.0))
    assert found.mean_interval_ms[0] < 4 < found.mean_interval_ms[1]


def test_what_an_earlier_version_stored_tells_its_mean():
    """A rate is the number of texts over the time of their calls."""
    known = summarise([[0.25, 0.75], [0.5]], CallShape(warmup=0, batch=8))
    stored = asdict(known)
    for name in ("mean_ms", "round_mean_ms", "mean_interval_ms"):
        del stored[name]
    found = Latency.from_json(json.loads(json.dumps(stored)))
    assert found.mean_ms == pytest.approx(500.0)
    assert (found.round_mean_ms, found.mean_interval_ms) == ((), None)
    assert speed_up(found, known, figure="mean") == pytest.approx(1.0)


def test_speed_up_of_means_counts_rare_slow_calls():
    base = summarise([[0.010] * 10] * 2, CallShape(warmup=0))
    cascade = summarise([[0.002] * 9 + [0.012]] * 2, CallShape(warmup=0))
    assert speed_up(base, cascade) == pytest.approx(5.0)
    assert speed_up(base, cascade, figure="mean") == pytest.approx(10 / 3)


def test_all_calls_are_told_as_quantiles():
    latency = summarise([[number / 1000 for number in range(1, 1002)]], CallShape(warmup=0))
    assert latency.quantiles_ms == tuple(float(f"{1 + 10 * each:.4g}") for each in range(101))
    assert latency.quantiles_ms[50] == latency.p50_ms
    stored = Latency.from_json(json.loads(json.dumps(asdict(latency))))
    assert stored == latency
    old = {name: value for name, value in asdict(latency).items() if name != "quantiles_ms"}
    assert Latency.from_json(old).quantiles_ms == ()
