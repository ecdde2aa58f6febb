"""Outputs of a long text, put together of those of its windows."""

from __future__ import annotations

import numpy as np
import pytest

from edgeroberta.tasks import Outputs, Problem, Task
from edgeroberta.tasks.windows import merge_tokens


def cut(total: int, room: int, overlap: int, words: np.ndarray | None = None) -> tuple[Outputs, list]:
    """Cut ``total`` tokens into windows; the value of a token is its number and that of its window."""
    words = np.arange(total) if words is None else words
    values, places, spans = [], [], []
    for number, start in enumerate(range(0, total, room - overlap)):
        stop = min(start + room, total)
        tokens = np.arange(start, stop)
        row = np.stack([tokens, np.full(len(tokens), number)], axis=1).astype(np.float32)
        special = np.array([[-1, number]], np.float32)
        where = np.stack([tokens, tokens + 1, words[start:stop]], axis=1)
        values.append(np.concatenate([special, row, special]))
        places.append(np.concatenate([[[0, 0, -1]], where, [[0, 0, -1]]]).astype(np.int64))
        spans.append((start, stop))
        if stop == total:
            break
    return Outputs.pack(values, places), spans


@pytest.mark.parametrize(("room", "overlap"), [(10, 4), (10, 0), (10, 9), (10, 1), (3, 2), (50, 13)])
@pytest.mark.parametrize("total", [11, 37, 38, 100, 103])
def test_each_token_comes_once_and_from_the_window_in_whose_middle_it_lies(total, room, overlap):
    if total <= room:
        pytest.skip("one window")
    windows, spans = cut(total, room, overlap)
    merged = merge_tokens(windows, overlap)
    assert len(merged) == 1
    assert merged.values[:, 0].tolist() == [-1, *range(total), -1]
    assert merged.places is not None
    assert merged.places[1:-1, 0].tolist() == list(range(total))
    for token, window in merged.values[1:-1].astype(int):
        start, stop = spans[window]
        left = token - start if window else total
        right = stop - 1 - token if window < len(spans) - 1 else total
        # On both sides at least half of the overlap, or the text ends there.
        assert min(left, right) >= (overlap - 1) // 2


def test_no_word_is_cut_between_two_windows():
    words = np.repeat(np.arange(40), 3)[:100]
    merged = merge_tokens(cut(100, 20, 8, words)[0], 8)
    assert merged.places is not None
    for word in range(33):
        windows = merged.values[1:-1][merged.places[1:-1, 2] == word, 1]
        assert len(set(windows.tolist())) == 1, word


def test_a_word_longer_than_the_overlap_is_cut_in_its_middle():
    windows, _ = cut(60, 20, 8, np.zeros(60, np.int64))
    merged = merge_tokens(windows, 8)
    assert merged.values[:, 0].tolist() == [-1, *range(60), -1]


def test_logits_of_a_classifier_are_averaged():
    task = Task(Problem.SINGLE_LABEL, ("no", "yes"))
    windows = Outputs.of_texts(np.array([[1, 2], [3, 6], [2, 1]], np.float32))
    merged = task.kind.merge(task, windows, 4)
    assert merged.values.tolist() == [[2, 3]]
    assert merged.values.dtype == np.float32
    assert len(merged) == 1


def test_outputs_with_places_are_not_joined_to_those_without():
    with_places, _ = cut(4, 10, 0)
    without = Outputs.of_texts(np.zeros((1, 2), np.float32))
    for alike in (with_places, without):
        assert len(Outputs.concatenate([alike, alike])) == 2
    with pytest.raises(ValueError, match="some of them have places"):
        Outputs.concatenate([with_places, without])
