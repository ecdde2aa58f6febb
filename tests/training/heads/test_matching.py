from __future__ import annotations

import numpy as np

from edgeroberta.training.heads.matching import match


def matched(ours: list[tuple[int, int, int]], theirs: list[tuple[int, int, int]]) -> list[int]:
    mine, other = np.array([ours]), np.array([theirs])
    return match(mine, mine[..., 2] >= 0, other, other[..., 2] >= 0)[0].tolist()


def test_tokens_of_the_same_characters_match():
    assert matched([(0, 0, -1), (0, 2, 0), (3, 5, 1)], [(0, 2, 0), (3, 5, 1), (0, 0, -1)]) == [-1, 0, 1]


def test_the_first_token_of_a_word_matches_the_one_that_begins_there():
    assert matched([(0, 2, 0), (2, 6, 0)], [(0, 6, 0)]) == [0, -1]
    assert matched([(0, 6, 0)], [(0, 2, 0), (2, 6, 0)]) == [0]
    assert matched([(0, 6, 0)], [(0, 2, 0), (0, 2, 0), (2, 6, 0)]) == [0]  # two tokens of one character


def test_padding_and_special_tokens_match_nothing():
    mine, other = np.array([[(0, 0, -1), (0, 1, 0), (0, 1, 0)]]), np.array([[(0, 1, 0), (0, 0, -1)]])
    found = match(mine, np.array([[False, True, False]]), other, np.array([[True, False]]))
    assert found.tolist() == [[-1, 0, -1]]
