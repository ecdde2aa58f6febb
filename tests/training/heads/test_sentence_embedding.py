"""What training is told of pairs of texts."""

from __future__ import annotations

import numpy as np
import torch

from edgeroberta.training.heads.sentence_embedding import PairLabels


def test_scores_are_scaled_to_one_and_unknown_ones_are_no_numbers():
    labels = PairLabels(np.array([1.0, 5.0, 2.0], np.float32))
    values, known = labels.batch(np.array([2, 7, 1]))
    assert values[[0, 2]].tolist() == [0.25, 1.0]
    assert values[1].isnan()
    assert known.tolist() == [True, False, True]


def test_numbers_of_queries_and_passages_stay_as_they_are():
    labels = PairLabels(np.array([[0, 3], [1, 4]], np.int64))
    values, known = labels.batch(np.array([1, 5]))
    assert values.tolist() == [[1, 4], [-1, -1]]
    assert values.dtype is torch.int64
    assert known.tolist() == [True, False]


def test_rows_without_labels_have_none():
    values, known = PairLabels(None).batch(np.array([0, 1]))
    assert values.isnan().all()
    assert not known.any()
