"""Thresholds are tried in an order that the calibration rows fix."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeroberta.cascade.evidence import Asked
from edgeroberta.cascade.path import Thresholds, path, thresholds

VALUES = st.lists(st.floats(-5, 1) | st.sampled_from([0.5, 1.0]), min_size=1, max_size=60).map(np.array)


def asked(*tiers):
    """Return what tiers say, each given by its confidences and where it differs."""
    confidence, differs = zip(*tiers, strict=True)
    return Asked(np.array(confidence, np.float64), np.array(differs, np.bool_), ())


@given(VALUES, st.integers(1, 30))
def test_thresholds_let_more_and_more_texts_through(confidence, steps):
    found = thresholds(confidence, steps)
    assert (np.diff(found) < 0).all()
    assert len(found) <= steps
    through = [(confidence >= each).sum() for each in found]
    assert all(a < b for a, b in pairwise([0, *through]))
    assert through[-1] == len(confidence)


def test_thresholds_lie_midway_between_values():
    assert thresholds(np.array([0.2, 0.4, 0.8, 1.0]), 4) == pytest.approx([0.9, 0.6, 0.3, 0.1])


def test_equal_values_have_no_threshold_between_them():
    assert thresholds(np.array([0.5, 0.5, 0.5, 0.9]), 4) == pytest.approx([0.7, 0.3])
    (only,) = thresholds(np.zeros(5), 4)
    assert only < 0


def test_between_neighbouring_numbers_the_upper_one_is_the_threshold():
    low = 1 - 2**-53
    assert thresholds(np.array([low, 1.0]), 2)[0] == 1.0


def test_each_threshold_is_cheaper_than_those_before_it():
    rng = np.random.default_rng(0)
    sure = rng.random((2, 500))
    given = asked((sure[0], rng.random(500) > sure[0]), (sure[1], rng.random(500) > sure[1] + 0.3))
    seconds = (1.0, 3.0, 10.0)
    times = [each.seconds(each.answering(given.confidence), seconds).mean() for each in path(given, seconds)]
    assert all(a > b for a, b in pairwise([10.0, *times]))
    assert times[-1] < 3


def test_with_two_tiers_every_level_that_saves_time_is_tried():
    sure = np.arange(100) / 100
    found = path(asked((sure, sure < 0.3)), (1.0, 4.0), steps=100)
    shares = [(sure >= each.values[0]).mean() for each in found]
    assert shares == pytest.approx(np.arange(26, 101) / 100)  # 1 + 4 (1 - share) < 4 from there on


def test_no_threshold_is_tried_where_the_first_tier_is_as_slow_as_the_last():
    assert path(asked((np.arange(10) / 10, np.zeros(10))), (4.0, 4.0)) == []


def test_a_tier_that_is_not_asked_takes_no_time_and_answers_nothing():
    found = Thresholds((None, 0.5))
    who = found.answering(np.array([[1.0, 1.0], [0.9, 0.1]]))
    assert who.tolist() == [1, 2]
    assert found.seconds(who, (1.0, 2.0, 4.0)).tolist() == [2.0, 6.0]


def test_no_threshold_lets_a_text_through_that_a_tier_does_not_take():
    sure = np.array([0.9, -np.inf, 0.5, 0.7])
    found = thresholds(sure)
    assert np.isfinite(found).all()
    assert [int((sure >= each).sum()) for each in found] == [1, 2, 3]
    assert len(thresholds(np.full(3, -np.inf))) == 0
    assert path(asked((np.full(3, -np.inf), np.zeros(3))), (1.0, 4.0)) == []


def test_a_confidence_that_is_no_number_leaves_the_text_to_the_last_tier():
    assert Thresholds((0.5,)).answering(np.array([[np.nan]])).tolist() == [1]


def test_the_first_tier_that_is_sure_answers():
    who = Thresholds((0.5, 0.5)).answering(np.array([[0.5, 0.4, 0.4], [1.0, 0.5, 0.4]]))
    assert who.tolist() == [0, 1, 2]
    assert Thresholds((0.5, 0.5)).seconds(who, (1.0, 2.0, 4.0)).tolist() == [1.0, 3.0, 7.0]
