"""Characters of tokens and entities are those of the user's own text, whatever is in it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.runtime import Problem, Runtime
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Task

FIXTURES = Path(__file__).parents[1] / "fixtures"
#: Combining marks, right-to-left, full-width, NUL, line ends, joiners, directions, flags, ligatures, spaces.
PIECES = (
    *"aé ZzÄ1٣", "film", " the", "  ", "\n", "\r\n", "\t", "\x00", "e\u0301", "z\u0300\u0323\u0304", "שלום",
    "مرحبا", "ＦＵＬＬ", "ﬁ", "½", "①", "\u200d", "\u202e", "\u2066", "\ufeff", "\u00a0", "\u3000", "\u2028",
    "😀", "👩\u200d👩\u200d👧", "🇩🇪", "नमस्ते", "ไทย", "日本語", "𝒳", "\U000e0041", "ſ", "İ", "ß", "<unk>",
    "</s>", "<mask>", "▁", "Ġ", "\u1100\u1161", "각", ".", ",", "'re", "@", "-", "\x7f", "\u0085",
)  # fmt: skip
LABELS = ("O", "B-X", "I-X")


def texts(count: int) -> list[str]:
    rng = random.Random(11)
    return ["".join(rng.choices(PIECES, k=rng.randrange(24))) for _ in range(count)]


class Drawn:
    """Labels tokens at random, the same ones alike."""

    name, version = "drawn", "0"

    def __init__(self) -> None:
        self.rows = np.random.default_rng(0).normal(size=(5000, len(LABELS))).astype(np.float32)

    def padded_length(self, length: int) -> int:
        return length

    def run(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return self.rows[ids]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("aggregation", ["simple", "first"])
@pytest.mark.parametrize("name", ["tokenizer", "tokenizer-xlm-roberta"])
def test_an_entity_is_what_the_text_has_between_its_offsets(name, aggregation):
    tokenizer = TextTokenizer.open(FIXTURES / name, 64)
    runtime = Runtime(Drawn(), tokenizer, Task(Problem.TOKENS, LABELS, aggregation=aggregation))
    found = 0
    for text in texts(2000):
        before = 0
        for entity in runtime(text).entities:
            assert 0 <= entity.start < entity.end <= len(text), (text, entity)
            assert text[entity.start : entity.end] == entity.text, (text, entity)
            # Two may share a character: one of several bytes, or beside one that a normalizer takes apart.
            assert entity.start >= before, (text, entity)
            before = entity.start
            found += 1
    assert found > 2000


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer-xlm-roberta"])
def test_tokens_stand_for_the_same_characters_alone_in_a_list_and_in_windows(name):
    whole = TextTokenizer.open(FIXTURES / name, 10_000)
    windows = TextTokenizer.open(FIXTURES / name, 12, long_text="windows", stride=3)
    chosen = texts(2000)
    listed = whole.encode(chosen, places=True)
    for text, one in zip(chosen, listed, strict=True):
        assert one.places is not None
        assert (whole.encode_one(text, places=True).places == one.places).all()
        starts, ends, words = one.places[1:-1].T
        assert ((starts >= 0) & (starts <= ends) & (ends <= len(text))).all()
        assert (np.diff(starts) >= 0).all()
        assert (np.diff(words) >= 0).all()
        assert (one.places[[0, -1]] == (0, 0, -1)).all()
        parts = windows.encode_one(text, places=True)
        rows = [part.places[1:-1] for part in (parts, *parts.rest) if part.places is not None]
        joined = np.concatenate([rows[0], *(row[3:] for row in rows[1:])])
        assert (joined == one.places[1:-1]).all()
