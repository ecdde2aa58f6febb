from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.tasks.span_search import FIRST, LONGEST, OTHER, search


def window(words, spans):
    """One window: its first token, a question of two, the context, and a last special token."""
    special = [(0, 0, FIRST), (0, 0, OTHER), (0, 0, OTHER)]
    context = [(*span, word) for span, word in zip(spans, words, strict=True)]
    return np.array([*special, *context, (0, 0, OTHER)], np.int64)


def letters(count, first=0):
    """A context of words of one letter with spaces between them."""
    return window(range(first, first + count), [(2 * i, 2 * i + 1) for i in range(first, first + count)])


def logits(places, start, end, *, none=0.0, height=9.0):
    values = np.zeros((len(places), 2), np.float32)
    values[0] = none
    values[start, 0] = values[end, 1] = height
    return values


def softmax(values):
    powers = np.exp(values.astype(np.float64) - values.max())
    return powers / powers.sum()


def by_hand(values, places, longest=LONGEST):
    """The best pair of tokens of one window, all tried."""
    own = [0, *np.flatnonzero(places[:, 2] >= 0)]
    starts, ends = softmax(values[own, 0]), softmax(values[own, 1])
    scores = {
        (own[i], own[j]): starts[i] * ends[j]
        for i in range(1, len(own))
        for j in range(i, min(i + longest, len(own)))
    }
    best = max(scores, key=scores.__getitem__)
    return (places[best[0], 0], places[best[1], 1]), scores[best], starts[0] * ends[0]


def test_the_best_span_is_the_best_of_all_pairs_of_tokens():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        places = letters(int(rng.integers(1, 40)))
        values = rng.normal(scale=3, size=(len(places), 2)).astype(np.float32)
        found = search(values, places)
        span, score, none = by_hand(values, places)
        assert (found.spans[0].start, found.spans[0].end) == span
        assert found.spans[0].score == pytest.approx(score)
        assert found.no_answer == pytest.approx(none)


def test_tokens_of_the_question_are_no_answer_and_take_no_probability():
    places = letters(4)
    values = logits(places, 4, 5)
    louder = values.copy()
    louder[1:3] = louder[-1] = 50
    assert search(louder, places) == search(values, places)


def test_an_answer_has_no_more_tokens_than_are_asked_for():
    places = letters(30)
    values = logits(places, 3, 22)  # 20 tokens
    first = search(values, places, longest=20).spans[0]
    assert (first.start, first.end) == (0, 39)
    for longest in (1, 5, 19):
        found = search(values, places, longest=longest).spans[0]
        assert (found.end - found.start + 1) / 2 <= longest


def test_a_span_is_made_of_whole_words_whose_scores_add_up():
    #     "unbelievable story": the first word has three tokens
    places = window([0, 0, 0, 1], [(0, 2), (2, 9), (9, 12), (13, 18)])
    values = logits(places, 4, 4, height=2.0)
    found = search(values, places, top=5)
    assert (found.spans[0].start, found.spans[0].end) == (0, 12)
    own = [0, 3, 4, 5, 6]
    starts, ends = softmax(values[own, 0]), softmax(values[own, 1])
    word = sum(starts[i] * ends[j] for i in (1, 2, 3) for j in (1, 2, 3) if i <= j)
    assert found.spans[0].score == pytest.approx(word)
    assert [(each.start, each.end) for each in found.spans].count((0, 12)) == 1


def test_a_token_without_characters_is_no_answer():
    places = window([0, 1, 2], [(0, 1), (2, 2), (2, 3)])
    found = search(logits(places, 4, 4), places, top=9)
    assert all(each.start < each.end for each in found.spans)
    assert (2, 2) not in [(each.start, each.end) for each in found.spans]


def test_windows_are_searched_each_by_itself():
    first, second = letters(5), letters(5, first=3)
    places = np.concatenate([first, second])
    values = np.concatenate([logits(first, 3, 3, none=12), logits(second, 6, 7, none=-5)])
    found = search(values, places, top=3)
    assert (found.spans[0].start, found.spans[0].end) == (12, 15)
    assert found.no_answer == pytest.approx(
        min(by_hand(values[s], places[s])[2] for s in (slice(9), slice(9, 18)))
    )
    same = np.concatenate([first, first])
    twice = search(np.concatenate([logits(first, 4, 5)] * 2), same)
    assert twice.spans[0].score == pytest.approx(2 * search(logits(first, 4, 5), first).spans[0].score)


def test_as_many_spans_as_are_asked_for_are_told_the_best_first():
    places = letters(12)
    values = np.random.default_rng(1).normal(size=(len(places), 2)).astype(np.float32)
    found = search(values, places, top=7).spans
    scores = [each.score for each in found]
    assert len(found) == len({(each.start, each.end) for each in found}) == 7
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(("threshold", "said"), [(None, True), (0.0, False), (0.9, True), (-1.0, False)])
def test_no_answer_is_given_where_its_score_is_above_by_the_threshold(threshold, said):
    places = letters(4)
    found = search(logits(places, 4, 4, none=9.5), places)
    assert 0 < found.no_answer - found.spans[0].score < 0.9
    assert (found.answer(threshold) is not None) is said


def test_a_context_of_which_nothing_was_read_has_no_answer():
    found = search(np.zeros((4, 2), np.float32), letters(0))
    assert found.spans == ()
    assert found.no_answer == 1.0
    assert found.answer(None) is None


def test_with_the_text_equal_words_are_one_answer_wherever_they_are():
    text = "Paris or Rome or paris"
    places = window(range(5), [(0, 5), (6, 8), (9, 13), (14, 16), (17, 22)])
    values = np.zeros((len(places), 2), np.float32)
    values[[3, 7]] = 4.0
    values[5] = 4.2
    apart, together = search(values, places, top=9), search(values, places, top=9, text=text)
    assert text[apart.spans[0].start : apart.spans[0].end] == "Rome"
    best = together.spans[0]
    assert text[best.start : best.end].lower() == "paris"
    parts = [each.score for each in apart.spans if (each.start, each.end) in ((0, 5), (17, 22))]
    assert best.score == pytest.approx(sum(parts))
    assert len(parts) == 2
