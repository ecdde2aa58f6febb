"""Losses of fine-tuning and distillation, each as one number per text.

They are summed per text, not averaged over the batch, so that a step split over several forward
passes or processes weighs every text alike. Losses on logits take any number of answers per text,
``[..., L]``: one for a text as a whole, or one per token; :func:`per_text` makes one number of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from edgeroberta.tasks import Problem
from edgeroberta.training import pair_losses


def hard(logits: Tensor, labels: Tensor, problem: Problem) -> Tensor:
    """Distance of the logits from the true labels.

    ``logits``: float[..., L]. ``labels``: int64[...], float[..., L] (zeros and ones) or float[...], by
    problem. Returns float[...]: cross entropy; binary cross entropy, mean over labels; or squared error. Of
    embeddings float[B, 2, L] of pairs see :func:`edgeroberta.training.pair_losses.distance`. Of spans:
    ``logits`` float[n, S, 2] of start and end, ``labels`` int64[n, S, 2], 1 of the right token, 0 of others
    and -1 of those that can be none; returns float[n], cross entropy over the tokens, mean of both.
    """
    return _HARD[problem](logits, labels)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    rows, answers = logits.reshape(-1, logits.shape[-1]), labels.reshape(-1)
    return functional.cross_entropy(rows, answers, reduction="none").view(labels.shape)


def _binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(-1)


def _squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    return (logits[..., 0] - labels).square()


def soft(logits: Tensor, teacher: Tensor, problem: Problem, *, temperature: float) -> Tensor:
    """Distance of the student's answer from the teacher's (Hinton et al., arXiv:1503.02531).

    ``logits``: the student's, float[..., L]. ``teacher``: the teacher's, float[..., L]. ``temperature``: both
    are divided by it first; the loss is multiplied by its square, which keeps the gradients' size. A
    regression has none, nor have embeddings. Returns float[...]: Kullback-Leibler divergence from the
    teacher's softmax, or from its sigmoid (mean over labels), or squared error; of embeddings see
    :func:`edgeroberta.training.pair_losses.from_teacher`; 0 where the two agree. Of
    spans: both float[n, S, 2], minus infinity in ``teacher`` where a token does not count; returns float[n],
    the divergence of softmax over tokens, mean of start and end.
    """
    return _SOFT[problem](logits, teacher, temperature)


def _divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student, target = (logits / temperature).log_softmax(-1), (teacher / temperature).log_softmax(-1)
    divergence = functional.kl_div(student, target, reduction="none", log_target=True)
    return divergence.sum(-1) * temperature**2


def _binary_divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student, target = logits / temperature, teacher / temperature
    chance = target.sigmoid()
    cross = functional.binary_cross_entropy_with_logits(student, chance, reduction="none")
    entropy = functional.binary_cross_entropy_with_logits(target, chance, reduction="none")
    return (cross - entropy).mean(-1) * temperature**2


def _best_divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Divergence over a teacher's best tokens, and all others together.

    ``logits``: float[masks, V]. ``teacher``: float[masks, 2 k], packed at this temperature, see
    :func:`edgeroberta.roberta.heads.masked_positions.packed`.
    """
    target, best = teacher.chunk(2, dim=-1)
    places, scaled = best.long(), logits / temperature
    whole = scaled.logsumexp(-1, keepdim=True)
    others = scaled.scatter(-1, places, -torch.inf).logsumexp(-1, keepdim=True) - whole
    student = scaled.gather(-1, places) - whole
    left = (1 - target.exp().sum(-1, keepdim=True)).clamp(min=torch.finfo(target.dtype).eps)
    if places.shape[-1] < logits.shape[-1]:
        student, target = torch.cat([student, others], -1), torch.cat([target, left.log()], -1)
    divergence = functional.kl_div(student, target, reduction="none", log_target=True)
    return divergence.sum(-1) * temperature**2


def _squared_distance(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return (logits - teacher).square().mean(-1)


#: Added up in softmax it is 0, and yet a number.
_NEVER = -1e4


def _span_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    chances = logits.masked_fill(labels < 0, _NEVER).log_softmax(1)
    return -(chances * (labels == 1)).sum(1).mean(-1)


def _span_divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    never = teacher.isneginf()
    student, target = (
        (each.masked_fill(never, _NEVER * temperature) / temperature).log_softmax(1)
        for each in (logits, teacher)
    )
    divergence = functional.kl_div(student, target, reduction="none", log_target=True)
    return divergence.sum(1).mean(-1) * temperature**2


#: The distance from the true labels, and that from a teacher's answer, by kind of task.
_HARD: dict[Problem, Callable[[Tensor, Tensor], Tensor]] = {
    Problem.SINGLE_LABEL: _cross_entropy,
    Problem.MULTI_LABEL: _binary_cross_entropy,
    Problem.REGRESSION: _squared_error,
    Problem.TOKENS: _cross_entropy,
    Problem.EMBEDDING: pair_losses.distance,
    Problem.SPANS: _span_cross_entropy,
    Problem.MASKED: _cross_entropy,
}
_SOFT: dict[Problem, Callable[[Tensor, Tensor, float], Tensor]] = {
    Problem.SINGLE_LABEL: _divergence,
    Problem.MULTI_LABEL: _binary_divergence,
    Problem.REGRESSION: _squared_distance,
    Problem.TOKENS: _divergence,
    Problem.EMBEDDING: lambda student, teacher, _: pair_losses.from_teacher(student, teacher),
    Problem.SPANS: _span_divergence,
    Problem.MASKED: _best_divergence,
}


def per_text(values: Tensor, counts: Tensor) -> Tensor:
    """Mean of a loss over what counts of each text.

    ``values``: float[n, ...], the loss of every answer; it may be anything where nothing counts; or float[k],
    that of the answers that count alone, text by text. ``counts``: bool[n, ...], True for answers that count.
    Returns float[n]; 0 for a text of which nothing counts.
    """
    if values.ndim < counts.ndim:
        values = values.new_zeros(counts.shape).masked_scatter(counts, values)
    kept = values.masked_fill(~counts, 0.0).reshape(len(values), -1).sum(1)
    return kept / counts.reshape(len(values), -1).sum(1).clamp(min=1)


def hidden(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Distance of normalized hidden states (patient distillation, Sun et al., arXiv:1908.09355).

    The states of a token are scaled to length 1 first, since a few channels of RoBERTa are a hundred times
    larger than the rest from one layer to the next. ``student``: float[n, S, H], output of a student layer.
    ``teacher``: float[n, S, H], output of the teacher layer it stands for. ``mask``: int[n, S], 1 where there
    is a token that both have. Returns float[n]: squared distance, mean over the tokens of each text; between
    0 and 4.
    """
    distance = functional.normalize(student, dim=-1) - functional.normalize(teacher, dim=-1)
    return per_text(distance.square().sum(-1), mask.bool())


def relations(student: Tensor, teacher: Tensor, mask: Tensor, *, heads: int) -> Tensor:
    """Distance of query, key and value relations (MiniLMv2, Wang et al., arXiv:2012.15828).

    Queries are regrouped into ``heads`` relation heads; their scaled dot products with each other, after
    softmax, say which tokens belong together. Keys and values likewise. Teacher and student may differ in
    width and in attention heads. ``student``: float[n, S, 3, H], queries, keys and values of the student's
    last layer. ``teacher``: float[n, S, 3, H'], those of the teacher's. ``mask``: int[n, S], 1 where there is
    a token. ``heads``: number of relation heads; divides H and H'. Returns float[n]: Kullback-Leibler
    divergence from the teacher's relations, mean over the three kinds, the relation heads and the tokens of
    each text.
    """
    divergence = functional.kl_div(
        _relation(student, mask, heads), _relation(teacher, mask, heads), reduction="none", log_target=True
    )
    # A masked column has probability 0 in both: its term is 0 * (-inf + inf), which is not a number.
    columns = mask[:, None, None, None, :].bool()
    per_token = divergence.masked_fill(~columns, 0.0).sum(-1).mean((1, 2))
    return per_text(per_token, mask.bool())


def relation_heads(most: int, widths: tuple[int, int]) -> int:
    """Return the number of relation heads: the largest up to ``most`` that divides both models' queries."""
    return max(n for n in range(1, most + 1) if not widths[0] % n and not widths[1] % n)


def _relation(states: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Log-softmax of scaled dot products, float[n, 3, heads, S, S]."""
    n, length, kinds, width = states.shape
    split = states.reshape(n, length, kinds, heads, width // heads).permute(0, 2, 3, 1, 4)
    scores = split @ split.transpose(-1, -2) / (width // heads) ** 0.5
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask[:, None, None, None, :].bool(), lowest).log_softmax(-1)
