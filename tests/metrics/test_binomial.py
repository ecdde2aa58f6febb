"""Exact bounds on shares, with scipy as the oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgeroberta.metrics.binomial import lower_bound, probability_of_at_most, rows_needed, upper_bound

COUNTS = st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS, st.floats(1e-6, 1 - 1e-6))
def test_the_probability_of_few_hits_is_that_of_the_binomial_distribution(counts, share):
    hits, n = counts
    expected = stats.binom.cdf(hits, n, share)
    assert probability_of_at_most(hits, n, share) == pytest.approx(expected, rel=1e-7, abs=1e-290)


@settings(deadline=None)
@given(COUNTS, st.floats(0.5, 0.999))
def test_bounds_are_those_of_clopper_and_pearson(counts, confidence):
    hits, n = counts
    upper = 1.0 if hits == n else stats.beta.ppf(confidence, hits + 1, n - hits)
    assert upper_bound(hits, n, confidence) == pytest.approx(upper, abs=1e-9)
    assert lower_bound(n - hits, n, confidence) == pytest.approx(1 - upper, abs=1e-9)


def test_a_share_beyond_zero_and_one_has_no_chance_to_be_missed():
    assert probability_of_at_most(0, 5, 0.0) == 1
    assert probability_of_at_most(4, 5, 1.0) == 0
    assert probability_of_at_most(5, 5, 1.0) == 1


def test_more_hits_than_texts_are_refused():
    with pytest.raises(ValueError, match="6 of 5"):
        upper_bound(6, 5, 0.95)


@pytest.mark.parametrize(("agreement", "confidence", "texts"), [(0.99, 0.95, 299), (0.9, 0.95, 29)])
def test_without_disagreements_the_closed_form_tells_how_many_texts_are_needed(agreement, confidence, texts):
    assert rows_needed(agreement, confidence) == texts
    assert texts == math.ceil(math.log(1 - confidence) / math.log(agreement))


@pytest.mark.parametrize("disagreement", [0.001, 0.004, 0.005, 0.007, 0.009])
def test_as_many_texts_as_are_needed_do_and_their_like_before_do_not(disagreement):
    found = rows_needed(0.99, 0.95, disagreement)
    n = np.arange(1, found + 1)
    enough = stats.binom.cdf(np.ceil(n * disagreement), n, 0.01) <= 0.05
    assert enough[-1]
    assert not enough[:-1].any()


def test_no_number_of_texts_shows_an_agreement_that_is_not_there():
    assert rows_needed(0.99, 0.95, 0.01) is None
    assert rows_needed(0.99, 0.95, 0.0099) is None  # a million would not do
