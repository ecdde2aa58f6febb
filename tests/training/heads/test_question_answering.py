from __future__ import annotations

import numpy as np
import pytest
import torch
from asked import SPANS, question_rows

from edgeroberta.data.rows import Rows
from edgeroberta.tasks import Problem
from edgeroberta.tasks.outputs import AnswerSpans
from edgeroberta.training import batching, losses
from edgeroberta.training.heads.question_answering import NEVER, RIGHT, QuestionAnswering

HEAD = QuestionAnswering()


@pytest.fixture(scope="module")
def checkpoint(make_checkpoint):
    return make_checkpoint(("LABEL_0", "LABEL_1"), "question_answering")


def tokenized(checkpoint, rows, length):
    return batching.tokenize(checkpoint, rows.inputs(), max_length=length, places=True)


def rows_of(context: str, *answers: str) -> Rows:
    spans = [(context.index(answer), context.index(answer) + len(answer)) for answer in answers]
    values = np.array(spans, np.int64).reshape(-1, 2)
    labels = AnswerSpans(values, np.array([0, len(values)]), None, (context,), (context,))
    return Rows(("how is it?",), (context,), labels, "x")


def test_a_window_with_the_answer_has_its_tokens_and_others_have_none(checkpoint):
    rows = question_rows(20, 0, words=60, unanswerable=0.2)
    tokens = tokenized(checkpoint, rows, 48)
    assert len(tokens) == tokens.inputs[-1] > 40
    labels = HEAD.labels(rows, SPANS, tokens)
    found, known = labels.batch(np.arange(len(tokens)))
    assert known.all()
    assert found.shape[2] == 2
    assert ((found == RIGHT).sum(1) == 1).all()
    ends = (found == RIGHT).int().argmax(1).numpy()
    answered = 0
    for row in range(len(rows)):
        spans, _ = rows.labels.part(row)
        windows = range(tokens.inputs[row], tokens.inputs[row + 1])
        said = [tuple(ends[window]) for window in windows]
        if not len(spans):
            assert set(said) == {(0, 0)}
            continue
        start, end = spans[0]
        answer = rows.pairs[row][start:end]
        for window, (first, last) in zip(windows, said, strict=True):
            places = tokens.located[tokens.offsets[window] : tokens.offsets[window + 1]]
            own = places[places[:, 2] >= 0]
            inside = own[0, 0] <= start and own[-1, 1] >= end
            assert inside == (first > 0)
            if inside:
                answered += 1
                assert rows.pairs[row][places[first, 0] : places[last, 1]] == answer
    assert answered >= 16
    assert labels.notes() == {
        "questions": 20,
        "windows": len(tokens),
        "unanswerable": int((rows.labels.lengths == 0).sum()),
        "answers_lost": 0,
    }


def test_questions_special_tokens_and_padding_can_be_no_answer(checkpoint):
    rows = question_rows(3, 1)
    tokens = tokenized(checkpoint, rows, 64)
    found, _ = HEAD.labels(rows, SPANS, tokens).batch(np.arange(3))
    numbers, mask = tokens.table(np.arange(3))
    words = tokens.located[numbers, 2]
    possible = mask & ((words >= 0) | (np.arange(mask.shape[1]) == 0))
    assert ((found[..., 0] != NEVER).numpy() == possible).all()


def test_an_answer_that_no_window_holds_teaches_nothing(checkpoint):
    context = "great " * 80
    rows = rows_of(context, context[:-1])
    tokens = tokenized(checkpoint, rows, 48)
    labels = HEAD.labels(rows, SPANS, tokens)
    assert labels.notes()["answers_lost"] == 1
    assert not labels.batch(np.arange(len(tokens)))[1].any()


def test_texts_without_labels_are_known_to_be_without(checkpoint):
    rows = question_rows(4, 0)
    tokens = tokenized(checkpoint, rows, 64)
    some = HEAD.labels(rows.select([0, 1]), SPANS, tokens)
    assert some.batch(np.array([1, 3]))[1].tolist() == [True, False]
    none = HEAD.labels(Rows(rows.texts, rows.pairs, None, "x"), SPANS, tokens)
    assert not none.batch(np.arange(4))[1].any()


def test_the_loss_is_cross_entropy_over_the_tokens_that_can_be_an_answer():
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 2, generator=random)
    labels = torch.full((2, 5, 2), NEVER)
    labels[:, [0, 2, 3]] = 0
    labels[0, 2, 0] = labels[0, 3, 1] = labels[1, 0, 0] = labels[1, 0, 1] = RIGHT
    found = losses.hard(logits, labels, Problem.SPANS)
    kept = logits[:, [0, 2, 3]]
    wanted = [
        torch.nn.functional.cross_entropy(kept[0].T, torch.tensor([1, 2])),
        torch.nn.functional.cross_entropy(kept[1].T, torch.tensor([0, 0])),
    ]
    assert torch.allclose(found, torch.stack(wanted), atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_distillation_compares_softmax_over_the_tokens_that_count(temperature):
    random = torch.Generator().manual_seed(1)
    ours, theirs = torch.randn(3, 6, 2, generator=random), torch.randn(3, 6, 2, generator=random)
    theirs[:, [1, 5]] = float("-inf")
    kept = [0, 2, 3, 4]
    student, target = ((each[:, kept] / temperature).log_softmax(1) for each in (ours, theirs))
    wanted = (target.exp() * (target - student)).sum(1).mean(1) * temperature**2
    found = losses.soft(ours, theirs, Problem.SPANS, temperature=temperature)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert torch.isfinite(found).all()
    assert torch.allclose(
        losses.soft(theirs.clamp(min=-9), theirs, Problem.SPANS, temperature=temperature), torch.zeros(3)
    )


def test_a_teacher_with_the_same_windows_is_matched_token_by_token(checkpoint):
    rows = question_rows(4, 0, words=60)
    tokens = tokenized(checkpoint, rows, 48)
    matches = HEAD.matches(tokens, tokens)
    assert matches.share() is None
    batch = np.array([0, 3])
    numbers, mask = tokens.table(batch)
    logits = torch.randn(*mask.shape, 2)
    found, counts = matches.batch(matches.asked(batch), logits)
    assert counts.all()
    possible = torch.from_numpy(mask & (tokens.located[numbers, 2] != -1))
    assert torch.equal(found.isneginf()[..., 0], ~possible)
    assert torch.equal(found[possible], logits[possible])


def test_a_teacher_with_other_windows_is_asked_for_the_one_that_has_most_of_the_characters(checkpoint):
    rows = question_rows(6, 0, words=60)
    ours, theirs = tokenized(checkpoint, rows, 40), tokenized(checkpoint, rows, 64)
    assert len(ours) > len(theirs)
    matches = HEAD.matches(ours, theirs)
    assert matches.share() > 0.8
    batch = np.arange(len(ours))
    asked = matches.asked(batch)
    texts = [
        np.searchsorted(each.inputs, rows, side="right") for each, rows in ((ours, batch), (theirs, asked))
    ]
    assert np.array_equal(*texts)
    numbers, _ = theirs.table(asked)
    # Logits that tell the character a token begins at.
    logits = torch.from_numpy(theirs.located[numbers, :2].astype(np.float32))
    found, counts = matches.batch(batch, logits)
    assert counts.all()
    mine, real = ours.table(batch)
    told = ~found.isneginf()[..., 0].numpy() & real & (ours.located[mine, 2] >= 0)
    assert np.array_equal(found.numpy()[told], ours.located[mine][told][:, :2].astype(np.float32))
