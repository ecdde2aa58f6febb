from __future__ import annotations

import numpy as np
import pytest
import torch
from masked import task_of, texts

from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import mask_token
from edgeroberta.training import batching, masked_tokens
from edgeroberta.training.batching import Tokens
from edgeroberta.training.heads import HEADS
from edgeroberta.training.masked_tokens import MaskedTexts, TokenMasking


@pytest.fixture
def model(tiny_mask_checkpoint) -> Checkpoint:
    return Checkpoint(tiny_mask_checkpoint)


@pytest.fixture
def tokens(model) -> Tokens:
    return batching.tokenize(model, ["</s> a great film", "<pad>", *texts(40)], max_length=64)


def test_a_share_of_ordinary_tokens_is_masked_and_at_least_one(model):
    masking = TokenMasking.of(model, share=0.2)
    ids = np.array([0, *range(300, 330), 2])
    changed, places = masking.text(ids, (1,))
    assert len(places) == 6
    assert (changed[places] == model.task.mask_id).all()
    np.testing.assert_array_equal(np.delete(changed, places), np.delete(ids, places))
    assert len(masking.text(np.array([0, 300, 2]), (1,))[1]) == 1
    assert len(masking.text(np.array([0, 2]), (1,))[1]) == 0


def test_words_that_are_written_as_special_tokens_are_not_predicted(model, tokens):
    special, masking = mask_token.find(model.folder).special, TokenMasking.of(model, share=0.9)
    for row in range(len(tokens)):
        ids = tokens.ids[tokens.offsets[row] : tokens.offsets[row + 1]].astype(np.int64)
        for step in range(3):
            assert special.isdisjoint(ids[masking.text(ids, (row, step))[1]].tolist())


def test_of_masked_tokens_some_are_others_and_some_stay(model):
    masking = TokenMasking.of(model, share=0.5, random=0.1, kept=0.1)
    ids = np.tile(np.array([0, *range(300, 500), 2]), 20)
    changed, places = masking.text(ids, (3,))
    masks, same = changed[places] == model.task.mask_id, changed[places] == ids[places]
    assert masks.mean() == pytest.approx(0.8, abs=0.03)
    assert same.mean() == pytest.approx(0.1, abs=0.03)
    drawn = changed[places][~masks & ~same]
    assert np.isin(drawn, masking.ordinary).all()
    assert len(np.unique(drawn)) > 50


def test_masks_are_new_at_each_step_and_hang_on_nothing_else_of_the_batch(model, tokens):
    masking = TokenMasking.of(model)

    def masked(rows: list[int], step: int) -> list[list[int]]:
        ids, mask = (torch.from_numpy(each) for each in tokens.batch(np.array(rows)))
        changed, where, true = masking.batch(ids, mask, np.array(rows), seed=0, step=step)
        assert torch.equal(true, ids[where])
        assert torch.equal(changed[~where], ids[~where])
        assert not (where & (mask == 0)).any()
        return [row[keep.bool()].tolist() for row, keep in zip(changed, mask, strict=True)]

    first = masked([3, 4, 5], 7)
    assert first == masked([3, 4, 5], 7) == masked([5, 4, 3], 7)[::-1]
    assert first[1:2] == masked([4], 7)
    assert first != masked([3, 4, 5], 8)


def test_masks_that_never_change_know_what_stood_there(model, tokens):
    found = masked_tokens.prepared(tokens, task_of(model.folder), source=model, seed=1)
    assert isinstance(found, MaskedTexts)
    assert found.digest != tokens.digest
    again = masked_tokens.prepared(tokens, task_of(model.folder), source=model, seed=1)
    other = masked_tokens.prepared(tokens, task_of(model.folder), source=model, seed=2)
    assert found.digest == again.digest != other.digest
    rows = np.array([7, 1, 0, 30])
    ids, _ = found.batch(rows)
    whole, _ = tokens.batch(rows)
    np.testing.assert_array_equal(found.masks(rows), ids == model.task.mask_id)
    np.testing.assert_array_equal(found.masked(rows), whole[found.masks(rows)])
    labels = HEADS["fill-mask"].labels(None, task_of(model.folder), found)  # type: ignore[arg-type]
    true, known = labels.batch(rows)
    assert true.tolist() == found.masked(rows).tolist()
    assert known.sum(1).tolist() == np.diff(found.mask_offsets)[rows].tolist()
    assert labels.notes() == {"masks": len(found.true)}


def test_texts_of_other_tasks_stay_as_they_are(tokens, tiny_checkpoint):
    other = Checkpoint(tiny_checkpoint)
    assert masked_tokens.prepared(tokens, other.task, source=other) is tokens


def test_texts_without_masks_are_no_examples(model, tokens):
    with pytest.raises(TypeError, match="no token of these texts is masked"):
        HEADS["fill-mask"].labels(None, task_of(model.folder), tokens)  # type: ignore[arg-type]
