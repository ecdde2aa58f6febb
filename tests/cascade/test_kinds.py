"""Every kind of task whose answers can stand for each other has a cascade."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edgeroberta import metrics
from edgeroberta.cascade import TierEvidence, choose
from edgeroberta.tasks import AnswerSpans, MaskedTokens, Outputs, Problem, Task, WordTags

ROWS = 500


@dataclass
class Made:
    """A task, what both tiers say of rows, and their labels; the first tier is wrong where it is unsure."""

    task: Task
    first: Outputs
    last: Outputs
    labels: Any


def single(rng):
    labels, scale, wrong = rng.integers(0, 3, ROWS), *doubts(rng, ROWS)
    said = np.where(wrong, (labels + 1) % 3, labels)
    task = Task(Problem.SINGLE_LABEL, ("a", "b", "c"))
    return Made(task, texts(np.eye(3)[said] * scale[:, None]), texts(np.eye(3)[labels] * 5), labels)


def multi(rng):
    labels, scale, wrong = rng.integers(0, 2, (ROWS, 2)), *doubts(rng, ROWS)
    said = np.where(wrong[:, None], 1 - labels, labels)
    task = Task(Problem.MULTI_LABEL, ("a", "b"))
    return Made(
        task,
        texts((2 * said - 1) * scale[:, None]),
        texts((2 * labels - 1) * 5),
        labels.astype(np.float32),
    )


def regression(rng):
    last = rng.normal(size=ROWS)
    first = last + np.where(last > 0.8, 1.0, 0.01) * rng.normal(size=ROWS)
    task = Task(Problem.REGRESSION, ("score",))
    return Made(task, texts(first[:, None]), texts(last[:, None]), last.astype(np.float32))


def tokens(rng):
    tags, scale, wrong = rng.integers(0, 2, (ROWS, 4)), *doubts(rng, ROWS)
    said = np.where(wrong[:, None], 1 - tags, tags)
    places = [np.array([(2 * word, 2 * word + 1, word) for word in range(4)])] * ROWS
    labels = WordTags.pack(list(tags), places)
    task = Task(Problem.TOKENS, ("O", "B-X"))
    return Made(
        task,
        Outputs.pack(list((np.eye(2)[said] * scale[:, None, None]).astype(np.float32)), places),
        Outputs.pack(list((np.eye(2)[tags] * 5).astype(np.float32)), places),
        labels,
    )


def spans(rng):
    words, scale, wrong = rng.integers(1, 4, ROWS), *doubts(rng, ROWS)
    said = np.where(wrong, 1 + words % 3, words)
    places = [np.array([(0, 0, -2), (0, 5, 0), (6, 8, 1), (9, 12, 2)])] * ROWS
    right = np.array([(0, 5), (6, 8), (9, 12)])[words - 1]
    labels = AnswerSpans(
        right, np.arange(ROWS + 1), contexts=("Hello, in all",) * ROWS, documents=("",) * ROWS
    )

    def logits(chosen, size):
        values = size[:, None, None] * (np.arange(4)[None, :, None] == chosen[:, None, None])
        return list(np.broadcast_to(values, (ROWS, 4, 2)).astype(np.float32))

    task = Task(Problem.SPANS, ("start", "end"), pair=True)
    return Made(
        task,
        Outputs.pack(logits(said, 2 * scale), places),
        Outputs.pack(logits(words, np.full(ROWS, 15.0)), places),
        labels,
    )


def masked(rng):
    known, scale, wrong = rng.integers(0, 2, ROWS), *doubts(rng, ROWS)
    said = np.where(wrong, 1 - known, known)

    def packed(best, size):
        logs = np.stack([-np.log1p(np.exp(-size)), -size - np.log1p(np.exp(-size))], axis=1)
        return Outputs.pack(
            list(np.hstack([logs, np.stack([best, 1 - best], axis=1)]).astype(np.float32)[:, None])
        )

    task = Task(Problem.MASKED, (), dimensions=4)
    labels = MaskedTokens.pack(list(known[:, None]))
    return Made(task, packed(said, scale), packed(known, np.full(ROWS, 5.0)), labels)


def doubts(rng, rows):
    """Return how large logits are, from 0 to 8, and whether an answer is wrong: only the smallest are."""
    scale = rng.uniform(0.05, 8, rows)
    return scale, (scale < 2) & (rng.random(rows) < 0.5)


def texts(values):
    return Outputs.of_texts(np.asarray(values, np.float32))


KINDS = [single, multi, regression, tokens, spans, masked]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda each: each.__name__)


def chosen(kind, labelled=True):
    made = kind(np.random.default_rng(0))
    half = np.arange(ROWS) < ROWS // 5
    tiers = [
        TierEvidence(name, outputs[half], outputs[~half], seconds)
        for name, outputs, seconds in (("first", made.first, 1.0), ("last", made.last, 10.0))
    ]
    before, after = (made.labels[half], made.labels[~half]) if labelled else (None, None)
    found = choose(made.task, tiers, labels=before, fresh_labels=after, agreement=0.98)
    return made, ~half, found


@every_kind
def test_a_cascade_of_every_kind_answers_what_it_is_sure_of(kind):
    _, rows, found = chosen(kind)
    assert found.kept
    assert 0.3 < found.tiers[0].share < 0.9
    assert found.tiers[0].agreement > found.tiers[0].agreement_alone
    assert found.measured >= 0.98
    lines = found.tiers[0].reliability
    assert lines[-1].agreeing > lines[0].agreeing
    assert sum(line.texts for line in lines) == found.rows == rows.sum()


@every_kind
def test_a_cascade_scores_what_its_answers_score(kind):
    made, rows, found = chosen(kind)
    first, last, labels = made.first[rows], made.last[rows], made.labels[rows]
    sure = made.task.kind.confidence(made.task, first, found.tiers[0].calibration)
    own = sure >= found.tiers[0].threshold
    merged = Outputs.concatenate([(first if one else last)[[row]] for row, one in enumerate(own)])
    assert found.score == pytest.approx(metrics.score(made.task, merged, labels))
    assert found.tiers[0].score_alone == pytest.approx(metrics.score(made.task, first, labels))
    assert found.tiers[1].score_alone == pytest.approx(metrics.score(made.task, last, labels))
    if kind is regression:
        assert found.tiers[0].score is None  # a correlation on some of the texts says nothing
    else:
        assert found.tiers[0].score == pytest.approx(metrics.score(made.task, first[own], labels[own]))


@every_kind
def test_a_cascade_without_labels_has_no_scores(kind):
    _, _, found = chosen(kind, labelled=False)
    assert found.kept
    assert found.score is None
    for tier in found.tiers:
        assert (tier.score, tier.score_alone) == (None, None)
        assert all(line.right is None for line in tier.reliability)


@every_kind
def test_answers_are_right_or_not_but_for_spans_which_may_be_in_part(kind):
    _, _, found = chosen(kind)
    lines = found.tiers[0].reliability
    if kind is spans:
        assert all(line.right is None for line in lines)
    else:
        assert lines[-1].right > lines[0].right


def test_numbers_are_the_same_within_what_the_calibration_rows_say():
    made, _, _ = chosen(regression)
    half = np.arange(ROWS) < ROWS // 5
    wide = made.last.values.copy()
    wide[~half] *= 100  # with a fifth of their own spread nearly all would be the same
    first = wide.copy()
    first[~half] += 1.0
    tiers = [
        TierEvidence("first", made.last[half], texts(first[~half]), 1.0),
        TierEvidence("last", made.last[half], texts(wide[~half]), 10.0),
    ]
    found = choose(made.task, tiers, labels=None, agreement=0.9)
    assert found.tiers[0].agreement_alone == 0
    assert not found.kept
