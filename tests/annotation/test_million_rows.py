"""A million rows take no more memory at their end than at their start."""

from __future__ import annotations

import pytest

from benchmarks import filter as benchmark


@pytest.mark.slow
def test_a_million_rows_of_parquet_take_no_more_memory_than_the_first_quarter(tiny_bundle):
    texts = [f"a film of {number} scenes {'and words ' * (number % 9)}" for number in range(5_000)]
    values = dict(benchmark.memory_row(tiny_bundle, texts, 1_000_000).values)
    assert values["growth MB"] < benchmark.GROWTH_BAR
