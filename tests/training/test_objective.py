from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgeroberta.roberta.frozen_layers import first_token_only
from edgeroberta.roberta.loading import load_classifier
from edgeroberta.roberta.observers import OutputRecorder
from edgeroberta.tasks import Problem, Task
from edgeroberta.training import losses
from edgeroberta.training.batching import Tokens
from edgeroberta.training.distill_settings import DistillSettings
from edgeroberta.training.heads.sequence_classification import TextLabels, WholeTexts
from edgeroberta.training.heads.token_classification import MatchedTokens
from edgeroberta.training.objective import DistillationTargets, DistillObjective
from edgeroberta.training.prediction import ProcessBatch
from edgeroberta.training.shards import BatchOutputs

ANSWERS = DistillSettings.model_validate({"temperature": 1.0, "weights": {"logits": 1.0, "hard": 1.0}})


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Fixed:
    """A model that always gives the same logits, and a teacher and labels likewise."""

    def __init__(self, *values: Any) -> None:
        self.values = values
        self.config = SimpleNamespace(num_hidden_layers=1, model_type="roberta")

    def __call__(self, **inputs: Any) -> Any:
        return SimpleNamespace(logits=self.values[0])

    def batch(self, rows: Any) -> Any:
        return self.values if len(self.values) > 1 else BatchOutputs(self.values[0].numpy(), None, None)


def losses_of(
    ours: torch.Tensor, theirs: torch.Tensor, labels: Any, mask: torch.Tensor, matches: MatchedTokens
) -> dict[str, torch.Tensor]:
    distillation_targets = DistillationTargets(Fixed(theirs), labels, Problem.TOKENS, matches)
    student: Any = Fixed(ours)
    objective = DistillObjective(ANSWERS, student, distillation_targets)
    return dict(objective(student, ProcessBatch(np.arange(len(mask)), mask, mask)))


def located(*texts: list[tuple[int, int, int]]) -> Tokens:
    """Tokens by their places: first character, the one after the last, number of the word."""
    ids = [np.full(len(text), 5) for text in texts]
    return Tokens.pack(ids, pad_id=1, places=[np.array(text) for text in texts])


def words(count: int) -> list[tuple[int, int, int]]:
    return [(2 * word, 2 * word + 1, word) for word in range(count)]


def test_a_token_level_head_learns_from_the_tokens_that_count():
    ours, theirs = random(2, 4, 3), random(2, 4, 3, seed=1)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    labels = torch.tensor([[0, 2, 1, 0], [1, 0, 0, 0]])
    known = torch.tensor([[False, True, True, False], [False, True, False, False]])
    tokens = located(words(4), words(2))
    found = losses_of(ours, theirs, Fixed(labels, known), mask, MatchedTokens(tokens, tokens))
    for row, tokens in enumerate((range(4), range(2))):
        each = [
            functional.kl_div(ours[row, t].log_softmax(0), theirs[row, t].softmax(0), reduction="sum")
            for t in tokens
        ]
        assert found["logits"][row].item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)
    hard = functional.cross_entropy(ours.flatten(0, 1), labels.flatten(), reduction="none").view(2, 4)
    assert found["hard"].tolist() == pytest.approx([hard[0, 1:3].mean().item(), hard[1, 1].item()], rel=1e-5)


def test_special_tokens_do_not_count():
    ours, theirs, mask = random(1, 4, 3), random(1, 4, 3, seed=1), torch.ones(1, 4, dtype=torch.int64)
    labels = Fixed(torch.zeros(1, 4, dtype=torch.int64), torch.zeros(1, 4, dtype=torch.bool))
    tokens = located([(0, 0, -1), *words(2), (0, 0, -1)])
    found = losses_of(ours, theirs, labels, mask, MatchedTokens(tokens, tokens))
    theirs[0, 0], theirs[0, 3] = 7.0, -7.0
    again = losses_of(ours, theirs, labels, mask, MatchedTokens(tokens, tokens))
    assert found["logits"].item() == again["logits"].item() > 0
    assert found["hard"].item() == 0


def test_of_another_tokenizer_the_tokens_of_the_same_characters_count():
    start, end = (0, 0, -1), (0, 0, -1)
    # "unhappy cats now", as un|happy|cats|now and as unh|appy|cat|s|now
    mine = located([start, (0, 2, 0), (2, 7, 0), (8, 12, 1), (13, 16, 2), end], [start, (0, 2, 0), end])
    other = located(
        [start, (0, 3, 0), (3, 7, 0), (8, 11, 1), (11, 12, 1), (13, 16, 2), end], [start, (0, 2, 0), end]
    )
    ours, theirs = random(2, 6, 3), random(2, 7, 3, seed=1)
    mask = torch.tensor([[1] * 6, [1, 1, 1, 0, 0, 0]])
    labels = Fixed(torch.zeros(2, 6, dtype=torch.int64), torch.zeros(2, 6, dtype=torch.bool))
    found = losses_of(ours, theirs, labels, mask, MatchedTokens(mine, other))
    pairs = [[(1, 1), (3, 3), (4, 5)], [(1, 1)]]  # "happy" has no token of its own, and begins no word
    for row, matched in enumerate(pairs):
        each = [
            functional.kl_div(ours[row, a].log_softmax(0), theirs[row, b].softmax(0), reduction="sum")
            for a, b in matched
        ]
        assert found["logits"][row].item() == pytest.approx(torch.stack(each).mean().item(), rel=1e-5)
    assert MatchedTokens(mine, other).share() == 4 / 5
    assert MatchedTokens(mine, mine).share() is None


@pytest.mark.parametrize("frozen", [0, 1])
def test_of_a_last_layer_that_computes_one_token_that_one_is_compared(frozen, tiny_checkpoint):
    student = load_classifier(tiny_checkpoint, Task(Problem.SINGLE_LABEL, ("negative", "positive")))
    ids = torch.tensor([[0, 9, 8, 7, 2], [0, 5, 2, 1, 1]])
    mask, theirs = (ids != 1).long(), random(2, 5, 2 - frozen, 32).half()
    with OutputRecorder(student, layers=(0, 1)) as probe:
        student(input_ids=ids, attention_mask=mask)
        lower, last = probe.layers()
    settings = DistillSettings.model_validate(
        {"weights": {"logits": 0, "hard": 0, "hidden": 1}, "freeze_layers": frozen}
    )
    targets = BatchOutputs(np.zeros((2, 2), np.float32), theirs.numpy(), None)
    outputs: Any = SimpleNamespace(batch=lambda rows: targets)
    objective = DistillObjective(
        settings, student, DistillationTargets(outputs, Fixed(), Problem.SINGLE_LABEL, WholeTexts())
    )
    with first_token_only(student):
        found = objective(student, ProcessBatch(np.arange(2), ids, mask))["hidden"]
    objective.close()
    each = [losses.hidden(last[:, :1], theirs[:, :1, -1].float(), mask[:, :1])]
    if not frozen:
        each.append(losses.hidden(lower, theirs[:, :, 0].float(), mask))
    torch.testing.assert_close(found, torch.stack(each).mean(0), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("problem", "values"),
    [
        (Problem.SINGLE_LABEL, np.array([1, 0])),
        (Problem.MULTI_LABEL, np.array([[1, 0], [1, 1]], np.float32)),
        (Problem.REGRESSION, np.array([0.5, 2.0], np.float32)),
    ],
)
def test_texts_after_the_labelled_ones_have_no_label(problem, values):
    labels, known = TextLabels(values, problem, 2).batch(np.array([1, 5, 0]))
    assert known.tolist() == [True, False, True]
    assert labels.shape == (3, *values.shape[1:])
    np.testing.assert_array_equal(labels.numpy()[[0, 2]], values[[1, 0]])
    assert not TextLabels(None, problem, 2).batch(np.array([0]))[1].any()
