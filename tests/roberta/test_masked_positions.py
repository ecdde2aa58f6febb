from __future__ import annotations

import torch
from transformers import AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from edgeroberta.roberta.heads import masked_positions

MASK = torch.ones(2, 7, dtype=torch.int64)
MASK[1, 5:] = 0


def wanted(model, ids, positions):
    return model(input_ids=ids, attention_mask=MASK).logits[positions]


def some_positions() -> torch.Tensor:
    positions = torch.zeros(2, 7, dtype=torch.bool)
    positions[0, 2] = positions[1, 1] = positions[1, 4] = True
    return positions


def test_logits_at_some_positions_are_those_of_the_whole_model(tiny_mask_checkpoint):
    model = AutoModelForMaskedLM.from_pretrained(tiny_mask_checkpoint).eval()
    ids, positions = torch.randint(5, 600, (2, 7)), some_positions()
    with torch.no_grad():
        found = masked_positions.logits(model, ids, MASK, positions)
        assert found.shape == (3, 600)
        torch.testing.assert_close(found, wanted(model, ids, positions))
    assert model(input_ids=ids).logits.shape == (2, 7, 600)  # the head is whole again


def test_so_are_those_of_a_bert():
    model = BertForMaskedLM(
        BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
        )
    ).eval()
    ids, positions = torch.randint(5, 50, (2, 7)), some_positions()
    with torch.no_grad():
        found = masked_positions.logits(model, ids, MASK, positions)
        torch.testing.assert_close(found, wanted(model, ids, positions))


def test_no_position_gives_no_logits_and_still_gradients(tiny_mask_checkpoint):
    model = AutoModelForMaskedLM.from_pretrained(tiny_mask_checkpoint)
    ids = torch.randint(5, 600, (2, 7))
    found = masked_positions.logits(model, ids, MASK, torch.zeros(2, 7, dtype=torch.bool))
    assert found.shape == (0, 600)
    found.sum().backward()
    assert model.lm_head.dense.weight.grad is not None
