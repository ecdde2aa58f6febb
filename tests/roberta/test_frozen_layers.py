from __future__ import annotations

import pytest
import torch

from edgeroberta.roberta.frozen_layers import FrozenLayers, cut_above, first_token_only
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))
THREE = Task(Problem.SINGLE_LABEL, ("negative", "neutral", "positive"))
IDS = torch.tensor([[0, 9, 8, 7, 6, 2], [0, 5, 2, 1, 1, 1], [0, 11, 12, 13, 2, 1]])
MASK = (IDS != 1).long()


@pytest.fixture(params=["roberta", "xlm-roberta"])
def model(request, tiny_checkpoint, tiny_xlmr_checkpoint):
    if request.param == "roberta":
        return load_classifier(tiny_checkpoint, TWO, dropout=0.1)
    return load_classifier(tiny_xlmr_checkpoint, THREE, dropout=0.1)


def logits(model: torch.nn.Module, *, mask: torch.Tensor = MASK) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS, attention_mask=mask).logits
    return found


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    model.zero_grad()
    logits(model).square().sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("mask", [MASK, torch.ones_like(MASK)], ids=["padded", "whole"])
def test_the_first_token_alone_gives_the_same_logits(attention, mask, model):
    model.set_attn_implementation(attention)  # type: ignore[operator]
    whole = logits(model, mask=mask)
    with first_token_only(model):  # type: ignore[arg-type]
        torch.testing.assert_close(logits(model, mask=mask), whole, atol=1e-6, rtol=1e-5)
    assert torch.equal(logits(model, mask=mask), whole)


def test_the_first_token_alone_gives_the_same_gradients(model):
    whole = gradients(model)
    with first_token_only(model):  # type: ignore[arg-type]
        torch.testing.assert_close(gradients(model), whole, atol=1e-5, rtol=1e-4)


def test_the_last_layer_computes_no_other_token(model):
    seen: list[torch.Size] = []
    last = model.base_model.encoder.layer[1]  # type: ignore[union-attr, index]
    last.output.register_forward_hook(lambda module, arguments, output: seen.append(output.shape))
    with first_token_only(model):  # type: ignore[arg-type]
        logits(model)
    assert seen == [(3, 1, 32)]


def test_a_model_without_its_lower_part_answers_as_before(model):
    whole, names = logits(model), [name for name, _ in model.named_parameters()]
    with FrozenLayers(model, 1):  # type: ignore[arg-type]
        assert torch.equal(logits(model), whole)
        left = [name for name, _ in model.named_parameters()]
        assert not any("embeddings" in name or "layer.1" in name for name in left)
    assert [name for name, _ in model.named_parameters()] == names
    assert torch.equal(logits(model), whole)


def test_the_lower_part_has_no_dropout_while_the_rest_trains(model):
    with FrozenLayers(model, 1) as lower:  # type: ignore[arg-type]
        states = lower.run(IDS, MASK)
        model.train()
        assert torch.equal(lower.run(IDS, MASK), states)
        assert not torch.equal(logits(model), logits(model))
    model.eval()


def test_a_model_takes_what_it_is_given_for_the_output_of_its_lower_part(model):
    with FrozenLayers(model, 1) as lower:  # type: ignore[arg-type]
        whole, states = logits(model), lower.run(IDS, MASK)
        lower.source = lambda ids, mask: states
        assert torch.equal(logits(model), whole)
        lower.source = lambda ids, mask: states + 1
        assert not torch.equal(logits(model), whole)


def test_a_model_cut_above_a_layer_gives_what_that_layer_gives(model):
    base = model.base_model
    with FrozenLayers(model, 1) as lower:  # type: ignore[arg-type]
        states = lower.run(IDS, MASK)
    with cut_above(model, 1):  # type: ignore[arg-type]
        found = base(input_ids=IDS, attention_mask=MASK).last_hidden_state  # type: ignore[operator]
        assert torch.equal(found, states)
    assert len(base.encoder.layer) == 2  # type: ignore[union-attr, arg-type]
