"""What a budget's options may say."""

from __future__ import annotations

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.search import limits
from edgeroberta.search.limits import BudgetLimits


@pytest.mark.parametrize("text", ["4ms", "4", "0.004s", "4000us", " 4.0 ms ", "4000 µs"])
def test_a_time_can_be_written_in_many_ways(text):
    assert limits.seconds(text) == pytest.approx(0.004)


@pytest.mark.parametrize("text", ["", "fast", "-4ms", "0", "4 min", "4e", "nan"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is no time") as caught:
        limits.seconds(text)
    assert caught.value.where == "--p95"


@pytest.mark.parametrize(
    ("text", "count"), [("12MB", 12_000_000), ("800kb", 800_000), ("1.5 MB", 1_500_000), ("900", 900)]
)
def test_a_size_is_in_powers_of_ten(text, count):
    assert limits.size_in_bytes(text) == count


@pytest.mark.parametrize("text", ["", "small", "-1MB", "0", "0.1", "12MiB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UsageError, match="is no size"):
        limits.size_in_bytes(text)


def test_limits_may_be_combined_and_most_of_the_metric_is_kept_by_default():
    everything = BudgetLimits(speedup=4, p95=0.004, p99=0.01, bytes=12_000_000, keep=0.98)
    assert limits.read(4, "4ms", "10ms", "12MB", None) == everything
    assert everything.told == "4x the speed, p95 of 4 ms, p99 of 10 ms, 12 MB, keeping 98.0% of the metric"
    assert everything.to_json() == {
        "speedup": 4, "p95_ms": 4.0, "p99_ms": 10.0, "bytes": 12_000_000, "keep": 0.98
    }  # fmt: skip
    assert limits.read(None, None, None, "12MB", 0.99) == BudgetLimits(bytes=12_000_000, keep=0.99)
    assert limits.read(None, None, "10ms", None, None) == BudgetLimits(p99=0.01)


def test_an_error_names_the_limit_that_is_no_time():
    with pytest.raises(UsageError, match="is no time") as caught:
        limits.read(None, "4ms", "soon", None, None)
    assert caught.value.where == "--p99"


def test_without_a_budget_there_are_no_limits():
    assert limits.read(None, None, None, None, None) is None


def test_a_share_to_keep_alone_is_no_budget():
    with pytest.raises(UsageError, match="no budget"):
        limits.read(None, None, None, None, 0.99)


@pytest.mark.parametrize(("speedup", "keep"), [(0.0, None), (-1.0, None), (float("nan"), None), (2.0, 99.0)])
def test_numbers_out_of_range_are_refused(speedup, keep):
    with pytest.raises(UsageError):
        limits.read(speedup, None, None, None, keep)
