from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from edgeroberta.errors import UsageError
from edgeroberta.roberta import narrowing, observers, pruned, sensitivity, surgery
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.sensitivity import TextBatch
from edgeroberta.roberta.shape import LayerShape
from edgeroberta.tasks import Problem, Task

TWO = Task(Problem.SINGLE_LABEL, ("negative", "positive"))


@pytest.fixture(scope="module")
def samples():
    source = torch.Generator().manual_seed(0)
    made = []
    for _ in range(4):
        ids = torch.randint(3, 600, (8, 10), generator=source)
        mask = torch.ones(8, 10, dtype=torch.int64)
        mask[0, 6:] = 0
        labels = torch.randint(0, 2, (8,), generator=source)
        made.append(
            TextBatch(
                ids, mask, lambda x, labels=labels: functional.cross_entropy(x, labels, reduction="none")
            )
        )
    return made


@pytest.fixture
def model(tiny_checkpoint):
    return load_classifier(tiny_checkpoint, TWO)


def answers(model: torch.nn.Module, samples: list[TextBatch]) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(input_ids=s.ids, attention_mask=s.mask).logits for s in samples])


@pytest.mark.parametrize("directions", [False, True])
def test_a_narrower_model_has_the_shape_asked_for_and_answers_unlike_chance(directions, model, samples):
    made = narrowing.narrow(model, samples, hidden_size=24, intermediate_size=40, directions=directions)
    config = made.model.config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (24, 3, 40)
    assert made.up.shape == (32, 24)
    assert made.model.base_model.encoder.layer[1].attention.self.attention_head_size == 8
    wide, narrow = answers(model, samples)[:, 0], answers(made.model, samples)[:, 0]
    assert torch.corrcoef(torch.stack([wide, narrow]))[0, 1] > 0.5


def test_nothing_is_lost_where_nothing_of_weight_is_taken_away(model, samples):
    # neurons 40 to 63 add nothing
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:  # type: ignore[union-attr]
            layer.output.dense.weight[:, 40:] = 0
    made = narrowing.narrow(model, samples, intermediate_size=40)
    torch.testing.assert_close(answers(made.model, samples), answers(model, samples), rtol=0, atol=1e-5)


@pytest.fixture
def token_samples(samples, tiny_token_checkpoint):
    """The same texts with a label of five for each token."""
    source = torch.Generator().manual_seed(2)

    def loss(labels):
        return lambda x: functional.cross_entropy(x.transpose(1, 2), labels, reduction="none").sum(1)

    return [
        TextBatch(each.ids, each.mask, loss(torch.randint(0, 5, each.ids.shape, generator=source)))
        for each in samples
    ]


def test_a_model_that_labels_tokens_is_narrowed_through_its_one_projection(
    tiny_token_checkpoint, token_samples
):
    task = Task(Problem.TOKENS, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"))
    model = load_classifier(tiny_token_checkpoint, task)
    found = sensitivity.measure(model, token_samples)
    assert found.units is None
    every = torch.cat(
        [model.base_model(each.ids, each.mask).last_hidden_state[each.mask.bool()] for each in token_samples]
    ).detach()
    torch.testing.assert_close(found.means[-1], every.mean(0), rtol=0, atol=1e-4)
    made = narrowing.narrow(model, token_samples, hidden_size=24, intermediate_size=40)
    assert made.model.classifier.weight.shape == (5, 24)
    kept = torch.cat([each.mask.flatten() for each in token_samples]).bool()
    wide, narrow = (
        torch.cat([logits(each, sample).flatten() for sample in token_samples])[kept]
        for each in (model, made.model)
    )
    assert torch.corrcoef(torch.stack([wide, narrow]))[0, 1] > 0.5
    same = narrowing.narrow(model, token_samples, intermediate_size=64)
    torch.testing.assert_close(
        logits(same.model, token_samples[0]), logits(model, token_samples[0]), rtol=0, atol=1e-5
    )


def logits(model: torch.nn.Module, sample: TextBatch) -> torch.Tensor:
    """The first label's logit of each token."""
    with torch.no_grad():
        return model(input_ids=sample.ids, attention_mask=sample.mask).logits[..., 0]


def test_directions_without_variance_are_the_ones_that_go(make_checkpoint, samples):
    # with the scales of eight channels at 0 behind every norm, those carry a constant and nothing else
    model = load_classifier(make_checkpoint(seed=3), TWO)
    dead = torch.arange(0, 32, 4)
    with torch.no_grad():
        for norm in sensitivity.norms(model):
            norm.weight[dead] = 0
            norm.bias[dead] = 0.5
    found = sensitivity.measure(model, samples)
    assert set(found.covariance.diag().argsort()[:8].tolist()) == set(dead.tolist())
    made = narrowing.narrow(model, samples, hidden_size=24, directions=True)
    assert made.up[dead].abs().max() < 1e-3


def test_the_norms_put_out_what_those_of_the_wide_model_do(model, samples):
    made = narrowing.narrow(model, samples, hidden_size=16)
    for wide, norm in zip(sensitivity.norms(model), sensitivity.norms(made.model), strict=True):
        outputs = []
        for one, module in ((model, wide), (made.model, norm)):
            tokens = []
            for sample in samples:
                with observers.OutputObserver(outputs=[module]) as recording, torch.no_grad():
                    one(input_ids=sample.ids, attention_mask=sample.mask)
                tokens.append(recording.values[module][sample.mask.bool()])
            outputs.append(torch.cat(tokens))
        wanted = outputs[0] @ made.up
        torch.testing.assert_close(outputs[1].mean(0), wanted.mean(0), rtol=0, atol=1e-4)
        torch.testing.assert_close(outputs[1].std(0), wanted.std(0), rtol=1e-3, atol=1e-4)


def test_scores_are_the_squared_first_order_change_of_the_loss(model, samples):
    found = sensitivity.measure(model, samples)
    dense = model.base_model.encoder.layer[1].output.dense  # type: ignore[union-attr]
    changes = []
    for sample in samples:
        logits = model(input_ids=sample.ids, attention_mask=sample.mask).logits
        for row, loss in enumerate(sample.loss(logits)):
            # d loss / d (scale of neuron 5 of this text) at 1
            with observers.OutputObserver(inputs=[dense]) as recording:
                again = model(input_ids=sample.ids[row : row + 1], attention_mask=sample.mask[row : row + 1])
                value = recording.values[dense]
                labelled = sample.loss(again.logits.expand(8, -1))[row]
                (gradient,) = torch.autograd.grad(labelled, value)
            assert labelled.item() == pytest.approx(loss.item(), rel=1e-4)
            changes.append((value[0, :, 5] * gradient[0, :, 5]).sum().item() ** 2)
    assert found.neurons[1][5].item() == pytest.approx(sum(changes) / len(changes), rel=1e-3)
    assert [len(scores) for scores in found.heads] == [4, 4]


@pytest.mark.parametrize("widths", [{"hidden_size": 24}, {"intermediate_size": 40}])
def test_a_pruned_model_is_narrowed_and_its_pruned_layers_keep_what_they_have(
    widths, model, samples, tmp_path
):
    kept = surgery.KeptUnits((0, 1), (tuple(range(4)), (1, 3)), (tuple(range(64)), tuple(range(0, 60, 2))))
    made = narrowing.narrow(surgery.prune(model, kept), samples, **widths).model
    full = LayerShape(widths.get("hidden_size", 32) // 8, widths.get("intermediate_size", 64))
    assert surgery.shape_of(made).layers == (full, LayerShape(2, 30))
    made.save_pretrained(tmp_path)
    again = pruned.from_pretrained(tmp_path)
    torch.testing.assert_close(answers(again, samples), answers(made, samples), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        (
            {"hidden_size": 20},
            "hidden_size: a hidden size of 20 is no multiple of the head size 8 up to 32\n  next: e.g. 16",
        ),
        (
            {"hidden_size": 40},
            "hidden_size: a hidden size of 40 is no multiple of the head size 8 up to 32\n  next: e.g. 16",
        ),
        (
            {"intermediate_size": 65},
            "intermediate_size: an FFN of 65 is wider than the model's 64\n  next: narrowing only takes away",
        ),
    ],
)
def test_widths_that_do_not_fit_are_refused(widths, message, model, samples):
    with pytest.raises(UsageError) as caught:
        narrowing.narrow(model, samples, **widths)
    assert str(caught.value) == message
