from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeroberta.runtime.lengths import BIN, Lengths, choose, histogram


def test_a_histogram_counts_in_bins_of_sixteen():
    assert histogram([1, 16, 17, 33, 33], 512) == (2, 1, 2)
    assert histogram([], 512) == ()


def test_the_last_bin_may_be_short():
    assert histogram([24], 24) == (0, 1)
    assert choose((0, 1), 24) == Lengths((24,), (), most=24)


def test_unknown_lengths_prepare_short_ones():
    assert choose((), 512) == Lengths((32, 64), (128, 256, 512))
    assert choose((), 20) == Lengths((20,), ())


def test_rare_long_texts_are_prepared_later():
    counts = histogram([10] * 500 + [30] * 300 + [40] * 195 + [500] * 5, 512)
    assert choose(counts, 512) == Lengths((16, 32, 48), (64, 128, 256, 512), most=16)


def test_the_usual_length_is_the_one_that_most_texts_are_padded_to():
    counts = histogram([10] * 20 + [20] * 30 + [30] * 40 + [60] * 25, 512)
    assert (choose(counts, 512).warm, choose(counts, 512).usual) == ((16, 32, 64), 32)
    skewed = histogram([5] * 10 + [100] * 90, 512)
    assert (choose(skewed, 512).warm, choose(skewed, 512).usual) == ((16, 112), 112)
    assert choose((), 512).usual == 64, "nothing is known: the middle one"


def test_a_length_is_padded_to_the_next_prepared_one():
    lengths = Lengths((16, 48), (64, 100))
    assert [lengths.padded(n) for n in (1, 16, 17, 48, 49, 100)] == [16, 16, 48, 48, 64, 100]
    with pytest.raises(ValueError, match="101 tokens are more than the longest length, 100"):
        lengths.padded(101)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    counts=st.lists(st.integers(0, 20), min_size=1, max_size=9).filter(lambda c: c[-1] > 0),
    limit=st.integers(2, 600),
)
def test_the_choice_covers_all_lengths_and_wastes_least(counts, limit):
    counts = counts[: -(-limit // BIN)]
    chosen = choose(tuple(counts), limit)
    assert 1 <= len(chosen.warm) <= 3
    assert list(chosen.warm) == sorted(set(chosen.warm))
    assert max(chosen.warm + chosen.later) == limit or not any(counts)
    assert all(chosen.padded(n) >= n for n in range(1, max(chosen.warm + chosen.later) + 1))
    if sum(counts) and sum(counts) < 100:  # below that, 99 % is all of them
        edges = [min(BIN * (i + 1), limit) for i in range(len(counts))]
        used = [edge for edge, count in zip(edges, counts, strict=True) if count]
        options = itertools.chain.from_iterable(
            itertools.combinations(edges[: edges.index(used[-1]) + 1], size) for size in (1, 2, 3)
        )
        best = min(cost(option, edges, counts) for option in options if option[-1] >= used[-1])
        assert cost(chosen.warm, edges, counts) == best


def cost(lengths, edges, counts):
    return sum(
        count * min(n for n in lengths if n >= edge)
        for edge, count in zip(edges, counts, strict=True)
        if count
    )
