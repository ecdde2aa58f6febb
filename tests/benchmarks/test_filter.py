"""The measurement of benchmarks/filter.py in small: both ways answer, memory is watched, bars are held."""

from __future__ import annotations

import pytest

from benchmarks import filter as benchmark
from edgeroberta.errors import EdgeRobertaError


@pytest.fixture
def texts():
    return [f"text {number} {'word ' * (number % 9)}" for number in range(300)]


def test_both_ways_answer_and_the_share_is_that_of_their_times(tiny_bundle, texts):
    row = benchmark.throughput_row(tiny_bundle, texts, 8, rounds=2)
    values = dict(row.values)
    assert values["least share of a round"] <= values["share of the engine's own"]
    assert values["engine's own, µs a text"] > 0
    assert 0.2 < values["share of the engine's own"] < 5


def test_memory_is_watched_until_all_rows_are_answered_and_bars_are_held(tiny_bundle, texts, monkeypatch):
    monkeypatch.setattr(benchmark, "LOOK", 0.01)
    row = benchmark.memory_row(tiny_bundle, texts, 2_000)
    values = dict(row.values)
    assert values["rows"] == 2_000
    assert values["most resident MB"] >= values["resident MB, quarter 1"] > 20
    other = row.model_copy(update={"values": (("share of the engine's own", 0.85),)})
    found = benchmark.checks([other, other, row])
    assert [check.ok for check in found[:2]] == [False, False]
    assert found[-1].value == values["growth MB"]


def test_a_filter_that_fails_is_no_measurement(tmp_path, texts):
    with pytest.raises(EdgeRobertaError, match="the filter failed"):
        benchmark.memory_row(tmp_path, texts, 10)
