from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from edgeroberta.roberta.heads import masked_positions
from edgeroberta.tasks import Problem
from edgeroberta.training import losses


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def tensor(value: object) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_hard_loss_of_one_label_is_cross_entropy():
    logits = random(3, 4)
    labels = np.array([2, 0, 3])
    wanted = -np.log(softmax(logits)[np.arange(3), labels])
    found = losses.hard(torch.tensor(logits), torch.tensor(labels), Problem.SINGLE_LABEL)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_hard_loss_of_many_labels_is_binary_cross_entropy():
    logits, labels = random(3, 4), np.array([[1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], np.float64)
    p = sigmoid(logits)
    wanted = -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).mean(1)
    found = losses.hard(torch.tensor(logits), torch.tensor(labels), Problem.MULTI_LABEL)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_hard_loss_of_a_regression_is_squared_error():
    found = losses.hard(tensor([[1.0], [4.0]]), tensor([3.0, 3.5]), Problem.REGRESSION)
    assert found.tolist() == [4.0, 0.25]


def test_soft_loss_of_one_label_is_divergence_times_squared_temperature():
    student, teacher, t = random(3, 4), random(3, 4, seed=1), 2.5
    p, q = softmax(teacher / t), softmax(student / t)
    wanted = (p * np.log(p / q)).sum(1) * t * t
    found = losses.soft(torch.tensor(student), torch.tensor(teacher), Problem.SINGLE_LABEL, temperature=t)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_soft_loss_by_hand_for_two_labels():
    # teacher softmax([ln 3, 0]) = (3/4, 1/4), student (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2)
    found = losses.soft(
        tensor([[0.0, 0.0]]), tensor([[math.log(3), 0.0]]), Problem.SINGLE_LABEL, temperature=1
    )
    assert found.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-12)


def test_soft_loss_of_many_labels_is_divergence_of_each_label():
    student, teacher, t = random(3, 4), random(3, 4, seed=1), 2.0
    p, q = sigmoid(teacher / t), sigmoid(student / t)
    wanted = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(1) * t * t
    found = losses.soft(torch.tensor(student), torch.tensor(teacher), Problem.MULTI_LABEL, temperature=t)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_soft_loss_of_a_regression_ignores_the_temperature():
    found = losses.soft(tensor([[1.0]]), tensor([[4.0]]), Problem.REGRESSION, temperature=7.0)
    assert found.tolist() == [9.0]


def test_hidden_loss_by_hand():
    # unit vectors at a right angle are sqrt(2) apart, opposite ones 2, equal directions 0
    student = tensor([[[3.0, 0.0], [0.0, 2.0]], [[5.0, 0.0], [9.0, 9.0]]])
    teacher = tensor([[[0.0, 8.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]]])
    mask = torch.tensor([[1, 1], [1, 0]])
    torch.testing.assert_close(losses.hidden(student, teacher, mask), tensor([(2 + 0) / 2, 4.0]))


def relation_reference(states: np.ndarray, length: int, heads: int) -> np.ndarray:
    """Relations of one text, float[3, heads, length, length], loop by loop."""
    width = states.shape[-1] // heads
    result = np.empty((3, heads, length, length))
    for kind in range(3):
        for head in range(heads):
            part = states[:length, kind, head * width : (head + 1) * width]
            result[kind, head] = softmax(part @ part.T / math.sqrt(width))
    return result


def test_relation_loss_matches_its_formula_text_by_text():
    student, teacher = random(2, 5, 3, 8), random(2, 5, 3, 12, seed=1)
    lengths, heads = (5, 3), 4
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    found = losses.relations(torch.tensor(student), torch.tensor(teacher), mask, heads=heads)
    for row, length in enumerate(lengths):
        p = relation_reference(teacher[row], length, heads)
        q = relation_reference(student[row], length, heads)
        wanted = (p * np.log(p / q)).sum(-1).mean()
        assert found[row].item() == pytest.approx(wanted, rel=1e-9)


def test_relation_loss_does_not_see_padding():
    student, teacher = torch.tensor(random(1, 3, 3, 8)), torch.tensor(random(1, 3, 3, 8, seed=1))
    alone = losses.relations(student, teacher, torch.ones(1, 3, dtype=torch.int64), heads=2)
    pad = torch.full((1, 4, 3, 8), 50.0, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1, 0, 0, 0, 0]])
    padded = losses.relations(torch.cat([student, pad], 1), torch.cat([teacher, -pad], 1), mask, heads=2)
    torch.testing.assert_close(alone, padded)


@pytest.mark.parametrize("problem", list(losses._SOFT))
def test_soft_loss_is_zero_when_student_and_teacher_agree(problem):
    logits = torch.tensor(random(4, 3))
    teacher = logits
    if problem is Problem.MASKED:  # the best two of three tokens
        teacher = masked_positions.packed(logits, 2, temperature=2.0).double()
    assert losses.soft(logits, teacher, problem, temperature=2.0).abs().max() < 1e-6


def test_soft_loss_of_masked_words_is_that_of_the_best_tokens_and_of_all_others_together():
    student, teacher, t = random(5, 9), random(5, 9, seed=1), 2.0
    p, q = softmax(teacher / t), softmax(student / t)
    packed = masked_positions.packed(torch.tensor(teacher), 3, temperature=t)
    found = losses.soft(torch.tensor(student), packed.double(), Problem.MASKED, temperature=t)
    for row in range(5):
        best = np.argsort(-p[row])[:3]
        assert packed[row, 3:].tolist() == best.tolist()
        a, b = (np.append(each[row, best], 1 - each[row, best].sum()) for each in (p, q))
        assert found[row].item() == pytest.approx((a * np.log(a / b)).sum() * t * t, rel=1e-4)


def test_it_is_the_whole_divergence_where_all_tokens_are_kept():
    student, teacher = random(4, 6), random(4, 6, seed=1)
    packed = masked_positions.packed(torch.tensor(teacher), 64)
    found = losses.soft(torch.tensor(student), packed.double(), Problem.MASKED, temperature=1.0)
    p, q = softmax(teacher), softmax(student)
    np.testing.assert_allclose(found, (p * np.log(p / q)).sum(1), rtol=1e-4)


def test_a_teacher_that_is_sure_gives_finite_gradients():
    logits = torch.zeros(1, 8, requires_grad=True)
    teacher = masked_positions.packed(torch.tensor([[90.0, *[0.0] * 7]]), 2)
    losses.soft(logits, teacher, Problem.MASKED, temperature=1.0).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_losses_of_masks_are_averaged_over_those_of_each_text():
    counts = torch.tensor([[True, False, True], [False, False, False], [False, True, False]])
    assert losses.per_text(tensor([1.0, 3.0, 5.0]), counts).tolist() == [2.0, 0.0, 5.0]


def test_hidden_and_relation_losses_are_zero_when_student_and_teacher_agree():
    states, mask = torch.tensor(random(2, 4, 3, 8)), torch.ones(2, 4, dtype=torch.int64)
    assert losses.relations(states, states, mask, heads=2).abs().max() < 1e-12
    assert losses.hidden(states[:, :, 0], states[:, :, 0], mask).abs().max() < 1e-12


@pytest.mark.parametrize("name", ["soft", "hidden", "relations"])
def test_gradients_are_finite_with_padding_in_the_batch(name):
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    student = torch.zeros(2, 3, 3, 8, requires_grad=True)
    teacher = torch.randn(2, 3, 3, 8, generator=torch.Generator().manual_seed(0)) * 1e3
    value = {
        "soft": lambda: losses.soft(
            student[:, 0, 0], teacher[:, 0, 0], Problem.SINGLE_LABEL, temperature=0.5
        ),
        "hidden": lambda: losses.hidden(student[:, :, 0] + 1, teacher[:, :, 0], mask),
        "relations": lambda: losses.relations(student + teacher / 2, teacher, mask, heads=4),
    }[name]()
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(student.grad).all()
