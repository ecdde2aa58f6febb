"""Losses of embeddings, against what they are by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from edgeroberta.tasks import Problem
from edgeroberta.training import losses, pair_losses

NAN = math.nan


def vectors(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cosent_is_the_log_of_one_and_all_pairs_in_the_wrong_order():
    cosines, scores = torch.tensor([0.9, 0.2, 0.6]), torch.tensor([0.1, 0.5, 0.9])
    wanted = math.log(
        1 + sum(math.exp(20 * (low - high)) for high, low in ((0.2, 0.9), (0.6, 0.9), (0.6, 0.2)))
    )
    found = pair_losses.order(cosines, scores)
    assert found.tolist() == pytest.approx([wanted] * 3, rel=1e-5)


def test_pairs_without_a_score_do_not_count_in_cosent():
    cosines = vectors(4).tanh()
    scores = torch.tensor([0.1, NAN, 0.9, 0.4])
    known = pair_losses.order(cosines[[0, 2, 3]], scores[[0, 2, 3]])
    assert pair_losses.order(cosines, scores)[0].item() == pytest.approx(known[0].item())


def test_equal_scores_leave_nothing_to_learn():
    assert pair_losses.order(vectors(3).tanh(), torch.ones(3)).tolist() == [0.0] * 3


def test_a_score_by_value_is_the_squared_distance_of_the_cosine():
    pairs = torch.tensor([[[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]], [[1.0, 0.0], [1.0, 0.0]]])
    found = pair_losses.value(pairs, torch.tensor([0.5, 0.5, NAN]))
    assert found.tolist() == pytest.approx([0.25, 0.25, 0.0])


def test_negatives_are_the_cross_entropy_over_the_passages_of_the_batch():
    pairs = functional.normalize(vectors(5, 2, 8), dim=-1)
    numbers = torch.stack([torch.arange(5), torch.arange(5)], dim=1)
    wanted = functional.cross_entropy(pairs[:, 0] @ pairs[:, 1].T * 20, torch.arange(5), reduction="none")
    found = losses.hard(pairs, numbers, Problem.EMBEDDING)
    assert torch.allclose(found, wanted)


def test_copies_of_a_passage_and_others_of_a_query_are_no_negatives():
    pairs = functional.normalize(vectors(4, 2, 8, seed=3), dim=-1)
    # of row 1 the passage is the same, of row 2 the query
    numbers = torch.tensor([[0, 0], [1, 0], [0, 2], [3, 3]])
    alike = pairs[0, 0] @ pairs[:, 1].T * 20
    wanted = alike[[0, 3]].logsumexp(0) - alike[0]
    assert pair_losses.distance(pairs, numbers)[0].item() == pytest.approx(wanted.item(), rel=1e-4, abs=1e-6)


def test_rows_of_which_nothing_is_known_are_no_candidates_and_cost_nothing():
    pairs = vectors(4, 2, 8)
    numbers = torch.tensor([[0, 0], [-1, -1], [2, 2], [-1, -1]])
    found = pair_losses.distance(pairs, numbers)
    known = pair_losses.distance(pairs[[0, 2]], numbers[[0, 2]])
    assert found[[0, 2]].tolist() == pytest.approx(known.tolist(), rel=1e-5)
    assert found[[1, 3]].tolist() == [0.0, 0.0]


def test_single_texts_have_no_label():
    assert pair_losses.distance(vectors(3, 8), torch.full((3,), NAN)).tolist() == [0.0] * 3
    assert pair_losses.distance(vectors(3, 1, 8), torch.full((3,), NAN)).tolist() == [0.0] * 3


def test_a_teacher_of_the_same_width_is_followed_in_place_and_relation():
    teacher = functional.normalize(vectors(6, 8), dim=-1)
    assert pair_losses.from_teacher(teacher, teacher).tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    student = functional.normalize(vectors(6, 8, seed=1), dim=-1)
    gaps = (student @ student.T - teacher @ teacher.T).square().sum(1) / 5
    wanted = 1 - (student * teacher).sum(1) + pair_losses.RELATIONS * gaps
    assert torch.allclose(
        losses.soft(student, teacher, Problem.EMBEDDING, temperature=2.0), wanted, atol=1e-5
    )


def test_of_a_teacher_of_another_width_only_the_relations_count():
    teacher = vectors(6, 12)
    turned = functional.pad(teacher, (0, 4)).flip(-1)  # other numbers, the same cosines
    assert pair_losses.from_teacher(turned, teacher).tolist() == pytest.approx([0.0] * 6, abs=1e-6)
    assert pair_losses.from_teacher(vectors(6, 16), teacher).min() > 0


def test_likeness_has_gradients_where_all_embeddings_have_length_one():
    raw = vectors(4, 8).requires_grad_()
    pair_losses.likeness(functional.normalize(raw, dim=-1)).sum().backward()
    assert raw.grad is not None
    assert raw.grad.abs().min() > 0
