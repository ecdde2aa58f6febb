"""The place of the right passage, where similarities are equal or are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.tasks.retrieval import ranks


@pytest.mark.parametrize("similarity", [None, "dot", "euclidean"])
@pytest.mark.parametrize(("count", "hidden"), [(7, 32), (17, 384), (333, 385)])
def test_passages_that_are_all_the_same_are_found_by_none(similarity, count, hidden):
    rng = np.random.default_rng(0)
    passages = np.tile(rng.normal(size=hidden).astype(np.float32), (count, 1))
    queries = rng.normal(size=(count, hidden)).astype(np.float32)
    for asked in (queries, passages):
        assert (ranks(similarity, asked, passages, np.arange(count)) == count).all()


def test_what_is_no_number_is_found_last():
    passages = np.eye(4, dtype=np.float32)
    queries = passages.copy()
    queries[2] = np.nan
    np.testing.assert_array_equal(ranks(None, queries, passages, np.arange(4)), [1, 1, 4, 1])
    everything = np.full((4, 4), np.nan)
    np.testing.assert_array_equal(ranks(None, everything, everything, np.arange(4)), [4, 4, 4, 4])
