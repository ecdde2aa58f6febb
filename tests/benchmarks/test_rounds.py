from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import rounds

ITEMS = ["a", "bb", "ccc"]


def entry(name: str, **arguments: Any) -> rounds.Entry:
    opener = "tests.benchmarks.fake_contestant:fake"
    return rounds.Entry(name, f"The {name}", Path(sys.executable), opener, arguments)


def test_percentiles_are_by_nearest_rank():
    values = [float(value) for value in range(1, 101)]
    assert [rounds.percentile(values, percent) for percent in (50, 90, 99)] == [50.0, 90.0, 99.0]
    assert rounds.percentile([3.0], 99) == 3.0


def test_a_speed_up_compares_rounds_with_each_other():
    # The second round ran on a machine ten times slower; pooled medians would say 1.0.
    baseline = [[2.0, 2.0], [20.0, 20.0], [2.0, 2.0]]
    other = [[1.0, 1.0], [10.0, 10.0], [1.0, 1.0]]
    assert rounds.speed_up(baseline, other) == 2.0


def test_a_speed_up_of_the_mean_sees_the_slow_calls_that_the_median_does_not():
    baseline, other = [[3.0, 3.0, 3.0]], [[1.0, 1.0, 4.0]]
    assert rounds.speed_up(baseline, other) == 3.0
    assert rounds.speed_up(baseline, other, statistics.fmean) == 1.5


def test_latency_pools_all_rounds():
    found = rounds.latency([[1.0, 2.0], [3.0, 8.0]])
    assert (found.n, found.p50, found.p99, found.round_p50) == (4, 2.0, 8.0, (1.0, 3.0))
    assert (found.mean, found.round_mean) == (3.5, (1.5, 5.5))


def test_contestants_answer_all_items_in_every_round():
    entries = [entry("first"), entry("second")]
    timings = rounds.measure(entries, ITEMS, rounds=2, threads=1, slice_size=2)
    for timing in timings.values():
        assert timing.error is None
        assert [len(values) for values in timing.rounds] == [3, 3]
        assert timing.answers == [1, 2, 3]
    table = rounds.rows(entries, timings, baseline="first", full_size="first", labels=[1, 2, 0])
    assert [row.accuracy for row in table] == [0.6667, 0.6667]
    assert table[0].ratio == table[0].mean_ratio == 1.0
    assert table[1].same_answers == 1.0
    assert table[1].versions == {"pytest": pytest.__version__}
    assert table[1].size_mb == 1.5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fails_on": "ccc"}, "ValueError: cannot read 'ccc'"),
        ({"dies_on": "bb"}, "died with exit code 7: an engine that prints on standard output"),
        ({"unknown": 1}, "TypeError: fake() got an unexpected keyword argument 'unknown'"),
    ],
)
def test_a_contestant_that_fails_is_a_row_and_the_others_go_on(arguments, error):
    entries = [entry("good"), entry("bad", **arguments)]
    timings = rounds.measure(entries, ITEMS, rounds=1, threads=1, slice_size=2)
    good, bad = rounds.rows(entries, timings, baseline="good", labels=[1, 2, 3])
    assert (good.status, good.accuracy) == ("ok", 1.0)
    assert (bad.status, bad.error, bad.latency) == ("failed", error, None)


def test_a_baseline_that_fails_leaves_rows_without_ratios():
    entries = [entry("bad", fails_on="a"), entry("good")]
    timings = rounds.measure(entries, ITEMS, rounds=1, threads=1)
    good = rounds.rows(entries, timings, baseline="bad")[1]
    assert good.ratio is None
    assert good.latency is not None
