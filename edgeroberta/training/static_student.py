"""Trains a static model on a teacher's logits: a few seconds where a student of one layer takes minutes.

A token votes by a linear map of its embedding in the teacher, so that tokens which the texts never use vote
as those like them do, and by an entry of its own, which begins at 0; a pair of neighbours by an entry alone.
See :mod:`edgeroberta.roberta.static_graph` for what becomes of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgeroberta import metrics
from edgeroberta.errors import EdgeRobertaError
from edgeroberta.roberta.static_graph import PAIR_FACTOR, PRIOR, StaticWeights
from edgeroberta.tasks import Outputs
from edgeroberta.training import batching, finetuning, losses, prediction
from edgeroberta.training.batching import Tokens
from edgeroberta.training.preparation import DistillationData

if TYPE_CHECKING:
    from edgeroberta.context import Context
    from edgeroberta.training.distill_settings import DistillSettings

#: Fewest and most votes of an entry: the first say each output, where there are not more of these, and the
#: hidden layer reads all of them.
RANKS = (8, 32)
#: Width of the hidden layer.
HIDDEN = 32
#: Means of votes are multiplied by this, so that entries that learn in small steps soon give sure answers.
GAIN = 10.0
#: All else learns in smaller steps than the entries: each step moves the answers to all texts at once.
MAP_RATE = 0.2
#: exp() of more is not used as a weight: one token would decide any text.
HIGHEST_SCORE = 6.0
_MAP_SPREAD = 0.02


class StaticStudent(nn.Module):
    """A static model that is learning."""

    embeddings: Tensor  # of the teacher, float[tokens, H]; not trained

    def __init__(self, embeddings: Tensor, *, pairs: int, bias: Tensor, dropout: float, seed: int) -> None:
        """Begin with entries of 0 and a small random map.

        ``embeddings``: the teacher's, float[tokens, H]. ``pairs``: entries that pairs share. ``bias``:
        float[L], the answer to begin with. ``dropout``: share of a text's entries that are left out, others
        at every step, so that no answer hangs on a single pair.
        """
        super().__init__()
        outputs = len(bias)
        rank, width = min(max(outputs, RANKS[0]), RANKS[1]), embeddings.shape[1]
        random = torch.Generator().manual_seed(seed)
        centred = embeddings.detach().float() - embeddings.detach().float().mean(0)
        self.register_buffer("embeddings", centred / centred.std().clamp(min=1e-6), persistent=False)
        self.tokens, self.pairs, self.dropout = len(embeddings), pairs, dropout
        self.entries = nn.Parameter(torch.zeros(self.tokens + pairs, rank + 1))
        self.map = nn.Parameter(torch.randn(width, rank + 1, generator=random) * _MAP_SPREAD)
        self.bias = nn.Parameter(bias.float().clone())
        spread = torch.randn(rank, outputs, generator=random) / math.sqrt(rank)
        self.output = nn.Parameter(torch.eye(rank, outputs) if outputs <= rank else spread)
        self.hidden = nn.ParameterList(
            [
                _uniform((rank, HIDDEN), rank, random),
                _uniform((HIDDEN,), rank, random),
                _uniform((HIDDEN, outputs), HIDDEN, random),
            ]
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return logits, float[B, L], of right-padded texts, int64[B, S] both."""
        found = (
            functional.embedding(ids, self.entries) + functional.embedding(ids, self.embeddings) @ self.map
        )
        counted = mask
        if self.pairs:
            place = (ids[:, :-1] * PAIR_FACTOR + ids[:, 1:]) % self.pairs + self.tokens
            found = torch.cat([found, functional.embedding(place, self.entries)], 1)
            counted = torch.cat([mask, mask[:, 1:]], 1)
        weights = functional.dropout(_weights(found[..., -1]) * counted, self.dropout, self.training)
        votes = (found[..., :-1] * weights[..., None]).sum(1)
        mean = GAIN * votes / (weights.sum(1, keepdim=True) + PRIOR)
        first, shift, second = self.hidden
        return mean @ self.output + functional.relu(mean @ first + shift) @ second + self.bias

    @torch.inference_mode()
    def weights(self) -> StaticWeights:
        """Return what it has learnt as one table."""
        found = self.entries.clone()
        found[: self.tokens] += self.embeddings @ self.map
        weights = _weights(found[:, -1:])
        table = torch.cat([GAIN * found[:, :-1] * weights, weights], 1)
        first, shift, second = (part.numpy().copy() for part in self.hidden)
        return StaticWeights(
            table.numpy(),
            self.tokens,
            self.output.numpy().copy(),
            (first, shift, second),
            self.bias.numpy().copy(),
        )


def _uniform(shape: tuple[int, ...], inputs: int, random: torch.Generator) -> nn.Parameter:
    """Begin as ``torch.nn.Linear`` does, with other random numbers."""
    return nn.Parameter((2 * torch.rand(shape, generator=random) - 1) / math.sqrt(inputs))


def _weights(scores: Tensor) -> Tensor:
    return scores.clamp(max=HIGHEST_SCORE).exp()


@dataclass(frozen=True, eq=False)
class StaticRun:
    """A student and what it is to learn."""

    student: StaticStudent  # ends with the weights of the best epoch
    data: DistillationData  # the texts, the teacher's logits and the labels
    settings: DistillSettings
    context: Context


def train(run: StaticRun) -> Mapping[str, Any]:
    """Train in place; returns notes: the metric after every epoch, and which epoch was kept.

    Nothing of it outlives a kill, since the training takes seconds; the teacher's outputs do.
    """
    settings, student = run.settings, run.student
    lengths = run.data.tokens.row_lengths
    total = settings.epochs * -(-len(lengths) // settings.batch_size)
    optimizer = _optimizer(student, settings.learning_rate)
    score = _scorer(run)
    history: list[dict[str, float]] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    step = 0
    with (
        torch.random.fork_rng(devices=[]),
        finetuning.progress_of(run.context).bar("static", total, "steps") as advance,
    ):
        torch.manual_seed(run.context.seed)
        for epoch in range(settings.epochs):
            batches = batching.shuffled(
                lengths, batch_size=settings.batch_size, seed=run.context.seed, epoch=epoch
            )
            student.train()
            for rows in batches:
                for group in optimizer.param_groups:
                    group["lr"] = group["highest"] * (1 - step / total)
                loss = _loss(run, rows)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
                advance(1, f"loss {_finite(float(loss.detach()), step, total, settings):.4f}")
            found = score(student.eval())
            history.append({"epoch": epoch + 1, "score": found})
            if best is None or found >= best[0]:
                best = found, epoch + 1, {name: value.clone() for name, value in student.state_dict().items()}
    assert best is not None  # there is an epoch at least
    student.load_state_dict(best[2])
    return {"history": history, "best_epoch": best[1], "best_score": best[0], "steps": step, **run.data.notes}


def _optimizer(student: StaticStudent, rate: float) -> torch.optim.Optimizer:
    slow = [student.map, student.bias, student.output, *student.hidden]
    groups = [
        {"params": [student.entries], "highest": rate},
        {"params": slow, "highest": rate * MAP_RATE},
    ]
    return torch.optim.AdamW(groups, lr=rate, weight_decay=0.0)


def _loss(run: StaticRun, rows: batching.Indices) -> Tensor:
    """Mean over a batch of the distance from the teacher's answers and, where there are some, the labels."""
    targets, weights = run.data.distillation_targets, run.settings.weights
    ids, mask = (torch.from_numpy(each) for each in run.data.tokens.batch(rows))
    logits = run.student(ids, mask)
    theirs = torch.from_numpy(targets.outputs.batch(targets.matches.asked(rows)).logits)
    temperature = run.settings.temperature
    loss = weights.logits * losses.soft(logits, theirs, targets.problem, temperature=temperature)
    if weights.hard:
        labels, known = targets.labels.batch(rows)
        hard = losses.hard(logits, labels, targets.problem)
        loss = loss + weights.hard * losses.per_text(hard, known)
    return loss.mean()


def _finite(loss: float, step: int, total: int, settings: DistillSettings) -> float:
    if not math.isfinite(loss):
        raise EdgeRobertaError(
            f"the loss is no longer a finite number at step {step} of {total}",
            where="static",
            hint=f"--set static.learning_rate={settings.learning_rate / 4:g}"
            f" (it is {settings.learning_rate:g})",
        )
    return loss


def _scorer(run: StaticRun) -> Callable[[StaticStudent], float]:
    """Return what tells a student's metric on the validation rows."""
    rows, context = run.context.data.validation, run.context
    tokens = batching.tokenize(
        context.checkpoint, rows.read(), max_length=run.settings.max_length, units=rows.units
    )
    labels = finetuning.labels_of(rows)

    def score(student: StaticStudent) -> float:
        return metrics.score(context.task, answers(student, tokens), labels)

    return score


@torch.inference_mode()
def answers(student: StaticStudent, tokens: Tokens) -> Outputs:
    """Return the student's logits of all texts."""
    found = np.empty((len(tokens), len(student.bias)), np.float32)
    for rows in batching.by_length(tokens.lengths, batch_size=prediction.EVALUATION_BATCH):
        ids, mask = (torch.from_numpy(each) for each in tokens.batch(rows))
        found[rows] = student(ids, mask).numpy()
    return Outputs.of_texts(found)
