from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from edgeroberta.measure import clock
from edgeroberta.measure.clock import CallShape, percentile_intervals, speed_up, spread, summarise, time_calls


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


def test_the_interval_holds_the_percentile_of_what_was_drawn_from():
    """95 of 100 intervals should hold the true median; the bootstrap is a little narrow with 20 blocks."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = percentile_intervals(list(rng.lognormal(size=(5, 40))), [50])
        held += found[0][0] <= 1.0 <= found[0][1]
    assert 85 <= held <= 100


def test_calls_that_slow_down_together_widen_it():
    """The same times, once as a machine gives them that is slow for a while at a time, once shuffled."""
    rng = np.random.default_rng(0)
    slow = np.repeat(rng.choice([1.0, 2.0], size=50), 10) + rng.normal(scale=0.2, size=500)
    together = percentile_intervals([slow], [50])
    apart = percentile_intervals([rng.permutation(slow)], [50])
    assert together is not None
    assert apart is not None
    assert np.ptp(together) > 1.5 * np.ptp(apart)


def test_rounds_that_differ_as_a_whole_widen_it():
    """A slow-down may last as long as a round; blocks of ten calls alone would hold 42 of 100 medians."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(100):
        found = percentile_intervals(list(rng.normal(size=(5, 100)) + rng.normal(size=(5, 1))), [50])
        held += found[0][0] <= 0.0 <= found[0][1]
    assert held >= 70


def test_rounds_of_different_lengths_are_taken_together():
    rng = np.random.default_rng(0)
    found = percentile_intervals([rng.normal(10, 1, size) for size in (100, 57, 12, 3)], [50])
    assert found[0][0] < 10 < found[0][1]
    assert percentile_intervals([rng.normal(size=100)], [50]) is not None


def test_each_percentile_has_its_own_and_they_are_the_same_each_time():
    rounds = list(np.random.default_rng(1).lognormal(size=(5, 100)))
    found = percentile_intervals(rounds, [50, 90, 99])
    assert found == percentile_intervals(rounds, [50, 90, 99])
    assert found is not None
    for (low, high), percentile in zip(found, (50, 90, 99), strict=True):
        assert low < np.percentile(np.concatenate(rounds), percentile) < high


@pytest.mark.parametrize("rounds", [[np.ones(30)], [np.ones(5)] * 20, []])
def test_too_few_calls_have_none(rounds):
    assert percentile_intervals(rounds, [50]) is None
