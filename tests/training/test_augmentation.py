from __future__ import annotations

from typing import Any

from edgeroberta.data.rows import Rows
from edgeroberta.training import augmentation
from edgeroberta.training.augmentation import AugmentedTexts

TEXTS = (
    "The film is a great story, told well.",
    "I would not see it again!",
    "Boring",
    "这部电影非常好看,我很喜欢。",
)
ROWS = Rows(TEXTS, None, None, "texts.csv")


def variants(rows: Rows, count: int, *, seed: int) -> list[Any]:
    return [item for part in AugmentedTexts(rows, count, seed).chunks() for item in part.inputs()]


def test_copies_are_the_same_for_the_same_seed_and_others_for_another():
    made = variants(ROWS, 5, seed=0)
    assert made == variants(ROWS, 5, seed=0)
    assert made != variants(ROWS, 5, seed=1)
    assert len(made) == 20


def test_a_copy_depends_on_its_row_and_number_alone():
    # the words to draw from are those of the same corpus; only more copies are asked for
    few, many = variants(ROWS, 2, seed=0), variants(ROWS, 5, seed=0)
    assert [many[row * 5 + copy] for row in range(4) for copy in range(2)] == few


def test_copies_differ_from_their_text_and_are_never_empty():
    made = variants(ROWS, 50, seed=0)
    assert all(isinstance(text, str) and text.strip() for text in made)
    same = [made[50 * row : 50 * row + 50].count(text) for row, text in enumerate(TEXTS)]
    assert same[0] == same[1] == same[3] == 0


def test_words_come_from_the_corpus_and_chinese_is_changed_by_characters():
    known = {character for text in TEXTS for character in text}
    made = variants(ROWS, 50, seed=0)
    assert {character for text in made for character in text} <= known
    chinese = made[150:]
    assert len({len(str(text)) for text in chinese}) > 3
    assert not any(character.isascii() for text in chinese for character in text if character.isalpha())


def test_of_a_pair_the_first_the_second_or_both_are_changed():
    pairs = Rows(TEXTS[:2], TEXTS[1::-1], None, "pairs.csv")
    made = variants(pairs, 60, seed=0)
    changed = {
        (first != pairs.texts[number // 60], second != pairs.texts[1 - number // 60])
        for number, (first, second) in enumerate(made)
    }
    assert changed == {(True, False), (False, True), (True, True)}


def test_copies_are_made_part_by_part_and_are_the_same_however_large_the_parts(monkeypatch):
    wanted = variants(ROWS, 5, seed=0)
    monkeypatch.setattr(augmentation, "_CHUNK", 3)
    parts = list(AugmentedTexts(ROWS, 5, 0).chunks())
    assert [len(part) for part in parts] == [3, 3, 3, 3, 3, 3, 2]
    assert [item for part in parts for item in part.inputs()] == wanted
    assert len(AugmentedTexts(ROWS, 5, 0)) == 20


def test_digests_differ_where_copies_do():
    others = [
        AugmentedTexts(ROWS, 4, 0),
        AugmentedTexts(ROWS, 5, 1),
        AugmentedTexts(ROWS.select([0, 1]), 5, 0),
    ]
    assert len({one.digest for one in (AugmentedTexts(ROWS, 5, 0), AugmentedTexts(ROWS, 5, 0), *others)}) == 4
