from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeroberta.data.rows import Rows
from edgeroberta.prune import importance
from edgeroberta.prune.importance import Importance, ImportanceMethod, ScoringExamples
from edgeroberta.roberta import head_masks
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.tasks import Problem, Task, Unit, WordTags
from edgeroberta.training import losses
from edgeroberta.training.batching import Tokens
from edgeroberta.training.heads.sequence_classification import TextLabels
from edgeroberta.training.heads.token_classification import TokenLabels

TEXTS = ([0, 5, 9, 33, 2], [0, 71, 8, 2], [0, 14, 99, 100, 101, 250, 2], [0, 77, 2], [0, 300, 4, 2])


def loaded(folder: Path) -> tuple[Any, ScoringExamples]:
    task = Task.from_config(json.loads((folder / "config.json").read_text()), pair=False)
    tokens = Tokens.pack(TEXTS, pad_id=1, places=[places_of(ids) for ids in TEXTS])
    if task.kind.unit is Unit.TOKEN:
        return load_classifier(folder, task), ScoringExamples(tokens, tagged(tokens), task.problem)
    labels = {
        "single_label_classification": np.array([0, 1, 1, 0, 1]),
        "multi_label_classification": np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]],
        "regression": np.linspace(-1, 1, 5, dtype=np.float32),
    }[str(task.problem)]
    return load_classifier(folder, task), ScoringExamples(
        tokens, TextLabels(labels, task.problem, task.num_outputs), task.problem
    )


def places_of(ids: list[int]) -> np.ndarray:
    """Every token but the first and the last is a word."""
    inside = [(2 * word, 2 * word + 1, word) for word in range(len(ids) - 2)]
    return np.array([(0, 0, -1), *inside, (0, 0, -1)])


def tagged(tokens: Tokens) -> TokenLabels:
    places = [places_of(ids)[1:-1] for ids in TEXTS]
    tags: Any = WordTags.pack([np.arange(len(each)) % 3 for each in places], places)
    rows = Rows(("x",) * len(TEXTS), None, tags, "x")
    return TokenLabels(rows, Task(Problem.TOKENS, ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")), tokens)


def loss_with(
    model: Any, examples: ScoringExamples, text: int, linear_op: int, unit: int, gate: float
) -> float:
    """The loss of one text, alone and unpadded, with one gate set."""
    places = head_masks.linear_ops(model)
    factor = torch.ones(places[linear_op].count)
    factor[unit] = gate
    spread = factor.repeat_interleave(places[linear_op].width)
    with (
        torch.no_grad(),
        head_masks.HeadMasks(places[linear_op : linear_op + 1], lambda place, inputs: inputs * spread),
    ):
        logits = model(input_ids=torch.tensor([TEXTS[text]])).logits
    labels, known = examples.labels.batch(np.array([text]))
    return float(losses.per_text(losses.hard(logits, labels, examples.problem), known)[0])


@pytest.mark.parametrize(
    "fixture",
    [
        "tiny_checkpoint",
        "tiny_multi_label_checkpoint",
        "tiny_regression_checkpoint",
        "tiny_token_checkpoint",
    ],
)
def test_taylor_scores_are_the_slopes_of_each_texts_loss(fixture, request):
    model, examples = loaded(request.getfixturevalue(fixture))
    found = importance.score(model.double(), examples)
    for linear_op, unit in ((0, 0), (0, 3), (2, 1), (1, 5), (3, 60)):
        slopes = [
            (
                loss_with(model, examples, i, linear_op, unit, 1.001)
                - loss_with(model, examples, i, linear_op, unit, 0.999)
            )
            / 0.002
            for i in range(len(TEXTS))
        ]
        values = (found.heads, found.neurons)[linear_op % 2][linear_op // 2]
        assert values[unit] == pytest.approx(np.abs(slopes).mean(), rel=2e-2, abs=1e-6)


def test_a_unit_that_nothing_reads_scores_nothing(tiny_checkpoint):
    model, examples = loaded(tiny_checkpoint)
    layer = model.base_model.encoder.layer[0]
    with torch.no_grad():
        layer.attention.output.dense.weight[:, 8:16] = 0
        layer.output.dense.weight[:, 7] = 0
    found = importance.score(model, examples)
    assert found.heads[0][1] == found.neurons[0][7] == 0
    assert (found.heads[0][[0, 2, 3]] > 0).all()


def test_a_head_that_alone_carries_the_answer_scores_highest(tiny_checkpoint):
    model, examples = loaded(tiny_checkpoint)
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            layer.attention.output.dense.weight.mul_(0.02)
            layer.output.dense.weight.mul_(0.02)
        model.base_model.encoder.layer[1].attention.output.dense.weight[:, 16:24].mul_(50)
    found = importance.score(model, examples)
    best = max((value, i, j) for i, layer in enumerate(found.heads) for j, value in enumerate(layer))
    assert best[1:] == (1, 2)


def same(a: Importance, b: Importance) -> bool:
    pairs = zip((*a.heads, *a.neurons), (*b.heads, *b.neurons), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)


def test_magnitude_is_the_sum_of_squares_of_a_units_own_weights(tiny_checkpoint):
    model, examples = loaded(tiny_checkpoint)
    found = importance.score(model, examples, method=ImportanceMethod.MAGNITUDE)
    layer = model.base_model.encoder.layer[1]
    total = layer.intermediate.dense.weight[4].square().sum() + layer.intermediate.dense.bias[4].square()
    total = total + layer.output.dense.weight[:, 4].square().sum()
    assert found.neurons[1][4] == pytest.approx(total.item(), rel=1e-5)
    assert [len(heads) for heads in found.heads] == [4, 4]


def test_random_scores_come_from_the_seed_alone(tiny_checkpoint):
    model, examples = loaded(tiny_checkpoint)
    one, again, other = (
        importance.score(model, examples, method=ImportanceMethod.RANDOM, seed=seed) for seed in (1, 1, 2)
    )
    assert same(one, again)
    assert not same(one, other)


def test_scoring_leaves_the_model_as_it_was(tiny_checkpoint):
    model, examples = loaded(tiny_checkpoint)
    frozen = model.base_model.embeddings
    frozen.requires_grad_(False)
    before = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    first = importance.score(model, examples)
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert same(first, importance.score(model, examples))
