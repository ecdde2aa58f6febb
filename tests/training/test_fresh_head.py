from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from masked import task_of

from edgeroberta.errors import DataError
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.training import fresh_head
from edgeroberta.training.blocks import Blocks
from edgeroberta.training.hyperparameters import MatmulPrecision
from edgeroberta.training.masked_tokens import TokenMasking
from edgeroberta.training.pretraining import HeldoutText, MaskDraws

#: Of 24 words, the first is by far the most frequent.
SHARES = np.arange(24, 0, -1.0) ** 3 / (np.arange(24, 0, -1.0) ** 3).sum()


def blocks_of(words: np.ndarray, pad_id: int = 1) -> Blocks:
    random = np.random.default_rng(0)
    made = Blocks.pack([random.choice(words, 30, p=SHARES) for _ in range(40)], pad_id=pad_id)
    assert isinstance(made, Blocks)
    return made


def test_frequencies_are_those_of_ordinary_tokens_and_none_is_impossible():
    blocks, ordinary = blocks_of(np.arange(300, 324)), np.arange(301, 600)
    found = np.exp(fresh_head.log_frequencies(blocks, ordinary, 640))
    total = int((blocks.ids != 300).sum()) + 640 * 0.5
    assert found[301] == pytest.approx((int((blocks.ids == 301).sum()) + 0.5) / total, rel=1e-5)
    assert found.sum() == pytest.approx(1, rel=1e-4)
    assert found[0] == found[300] == found[639] > 0


@pytest.mark.parametrize("family", ["roberta", "bert", "xlm-roberta"])
def test_a_fresh_head_begins_as_good_as_a_guess_by_frequency(family, make_checkpoint):
    model = Checkpoint(make_checkpoint(head=False, model_type=family))
    masking = TokenMasking.of(model)
    blocks = blocks_of(masking.ordinary[40:64], model.config.pad_token_id)
    trained = load_classifier(model, task_of(model.folder))
    with torch.no_grad():  # as long as those of trained models
        trained.get_output_embeddings().weight.mul_(100)
    heldout = HeldoutText(blocks, MaskDraws(masking, 0), 8, MatmulPrecision.FP32)
    before = heldout.evaluate(trained)
    fresh_head.begin(trained, blocks, masking.ordinary)
    after = heldout.evaluate(trained)
    size = trained.config.vocab_size
    frequencies = fresh_head.log_frequencies(blocks, masking.ordinary, size)
    guess = math.exp(-float(frequencies[np.asarray(blocks.ids)].mean()))
    assert after["perplexity"] < 2 * guess < 0.2 * size
    assert before["perplexity"] > 3 * after["perplexity"]


def test_held_out_text_without_a_word_is_refused(tiny_mask_checkpoint):
    model = Checkpoint(tiny_mask_checkpoint)
    blocks = Blocks.pack([[0, 3, 3, 2]] * 4, pad_id=1)  # unknown tokens alone
    draws = MaskDraws(TokenMasking.of(model), 0)
    trained = load_classifier(model, task_of(model.folder))
    with pytest.raises(DataError, match="no token of the held-out text is part of a word"):
        HeldoutText(blocks, draws, 2, MatmulPrecision.FP32).evaluate(trained)
