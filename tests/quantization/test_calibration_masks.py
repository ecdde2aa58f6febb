"""Masks are put into calibration texts, and only where a model fills them."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.quantization.calibration_masks import mask
from edgeroberta.runtime.encoding import Encoding
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.MASKED, (), dimensions=20, mask_id=4)


def encoding(length: int, *, places: bool = True) -> Encoding:
    """``<s>``, tokens from 100 on, ``</s>``."""
    ids = np.array([0, *range(100, 100 + length), 2])
    where = np.full((len(ids), 3), -1)
    where[1:-1] = np.stack([np.arange(length)] * 3, axis=1)
    return Encoding(ids, False, where if places else None)


@pytest.mark.parametrize("places", [True, False])
def test_a_share_of_the_tokens_is_masked_and_no_special_one(places):
    texts = [encoding(length, places=places) for length in (1, 3, 40, 100)]
    masked = mask(texts, TASK, share=0.15, seed=0)
    assert [int((each.ids == 4).sum()) for each in masked] == [1, 1, 6, 15]
    for before, after in zip(texts, masked, strict=True):
        assert (after.ids[0], after.ids[-1]) == (0, 2)
        np.testing.assert_array_equal(after.ids[after.ids != 4], before.ids[after.ids != 4])


def test_one_token_is_masked_where_the_share_is_nothing():
    assert [int((each.ids == 4).sum()) for each in mask([encoding(50)] * 3, TASK, share=0, seed=1)] == [
        1,
        1,
        1,
    ]


def test_the_same_seed_masks_the_same_tokens():
    texts = [encoding(60)] * 4
    one, two, other = (mask(texts, TASK, share=0.2, seed=seed) for seed in (0, 0, 1))
    assert all((a.ids == b.ids).all() for a, b in zip(one, two, strict=True))
    assert any((a.ids != b.ids).any() for a, b in zip(one, other, strict=True))


def test_a_text_with_masks_stays_as_it_is_and_one_of_special_tokens_alone_is_masked_all_the_same():
    own = Encoding(np.array([0, 100, 4, 101, 2]), False)
    (kept,) = mask([own], TASK, share=1.0, seed=0)
    assert kept is own
    (empty,) = mask([encoding(0)], TASK, share=0.15, seed=0)
    assert (empty.ids == 4).sum() == 1


def test_texts_of_other_tasks_are_not_masked():
    texts = [encoding(5)]
    assert mask(texts, Task(Problem.SINGLE_LABEL, ("a", "b")), share=0.5, seed=0) == texts
