"""Losses of embeddings: of pairs that are alike or belong together, and of a student beside its teacher.

Each compares the texts of a batch with each other, so it depends on which texts are in it. Texts are alike
by the cosine of their embeddings.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

#: Cosines are multiplied by it before a softmax, as in sentence-transformers (a temperature of 0.05).
SCALE = 20.0
#: How much it counts that a student finds other texts of the batch as alike as its teacher does, beside
#: where its embeddings point.
RELATIONS = 10.0


def distance(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Distance of pairs from their labels, each row with the same share of the batch's.

    ``embeddings``: float[B, 2, H]. ``labels``: float[B] scores, NaN where none is known; or int64[B, 2],
    numbers of query and passage, -1 where none is known. Returns float[B]: :func:`order` of scores,
    :func:`negatives` of queries and passages; 0 where nothing is known.
    """
    if embeddings.ndim < 3 or embeddings.shape[1] < 2:
        return embeddings.flatten(1).sum(1) * 0.0
    first, second = functional.normalize(embeddings, dim=-1).unbind(1)
    if labels.is_floating_point():
        return order((first * second).sum(-1), labels)
    return negatives(first, second, labels)


def order(cosines: Tensor, scores: Tensor) -> Tensor:
    """Penalize pairs that are more alike than pairs of a higher score (CoSENT, Su 2022).

    ``log(1 + sum exp(20 (cos_j - cos_i)))`` over all pairs i of a higher score than j; only the order of the
    scores counts. ``cosines``, ``scores``: float[B]. Returns float[B], the same for every row.
    """
    above = scores[:, None] > scores[None, :]  # false where either is not a number
    gaps = (cosines[None, :] - cosines[:, None])[above] * SCALE
    whole = torch.cat([gaps.new_zeros(1), gaps]).logsumexp(0)
    return whole.expand(len(scores)) + 0.0 * cosines


def value(embeddings: Tensor, scores: Tensor) -> Tensor:
    """Squared distance of the cosine of each pair from its score, float[B]; 0 where none is known.

    ``embeddings``: float[B, 2, H]. ``scores``: float[B], 0 … 1.
    """
    first, second = functional.normalize(embeddings, dim=-1).unbind(1)
    return ((first * second).sum(-1) - scores.nan_to_num()).square() * scores.isfinite()


def negatives(queries: Tensor, passages: Tensor, numbers: Tensor) -> Tensor:
    """Cross entropy of each query's passage among the passages of the batch (Henderson et al., 1705.00652).

    The other passages of the batch are wrong ones, but for copies of the right one, and for further passages
    of the same query. ``queries``, ``passages``: float[B, H] of length 1. ``numbers``: int64[B, 2], of query
    and passage, -1 where not known; such rows are no candidates. Returns float[B]; 0 where nothing is known.
    """
    known = numbers[:, 0] >= 0
    same = (numbers[:, None] == numbers[None, :]).any(-1)
    own = torch.eye(len(numbers), dtype=torch.bool, device=numbers.device)
    left_out = (same | ~known[None, :]) & ~own
    logits = (queries @ passages.T * SCALE).masked_fill(left_out, torch.finfo(queries.dtype).min)
    target = torch.arange(len(numbers), device=numbers.device)
    return functional.cross_entropy(logits, target, reduction="none") * known


def from_teacher(student: Tensor, teacher: Tensor) -> Tensor:
    """Distance of embeddings from a teacher's, and of how alike they are among each other from its own.

    The former is half the squared distance in units of the teacher's length, one less the cosine where both
    have length 1; it is left out where the teacher has another width. The latter is the mean squared
    difference of the cosines of a text and each other text of the batch (relational distillation, Park et
    al., arXiv:1904.05068). ``student``: float[n, H]. ``teacher``: float[n, H']. Returns float[n].
    """
    ours, theirs = (functional.normalize(each, dim=-1) for each in (student, teacher))
    others = max(len(ours) - 1, 1)
    found = RELATIONS * (ours @ ours.T - theirs @ theirs.T).square().sum(1) / others
    if student.shape[1] == teacher.shape[1]:
        length = teacher.square().sum(1).clamp(min=1e-12)
        found = found + (student - teacher).square().sum(1) / (2 * length)
    return found


def likeness(embeddings: Tensor) -> Tensor:
    """Half the mean square of the cosines of each text and the others of the batch, float[n].

    It stands for a loss where nothing is known of texts: its gradients tell what embeddings depend on.
    ``embeddings``: float[n, H].
    """
    unit = functional.normalize(embeddings, dim=-1)
    return (unit @ unit.T).square().mean(1) / 2
