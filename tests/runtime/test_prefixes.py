"""Long texts are cut before they are tokenized: the same ids, of a few kB instead of a megabyte."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from edgeroberta.runtime.prefixes import PrefixFinder
from edgeroberta.runtime.tokenizer import TextTokenizer

DATA = Path(__file__).parents[1] / "fixtures"
FOLDERS = ("tokenizer", "tokenizer-xlm-roberta", "tokenizer-bert")
# What could make a difference at a cut: added tokens and halves of them, white space that <mask> takes,
# contractions, what composes with its neighbour, characters of one to four bytes, and unknown ones.
PIECES = (
    "great film ", "The story", " ", "  ", "<mask>", "</s>", "<s>", "<pad>", "<unk>", "'t", "'re", "'", "'r",
    "a", "-", "=", "\n", "\t", "😀", "👩‍👩‍👧", "电影很好看", "，", "ﬁ", "é", "e\u0301", "\u0600", "\x00",
    "\u3000", "\u200b", "١٢", "Привет", "مرحبا", "½", "._", "!!", "\u00a0", "한국어", "\u1100\u1161", "<",
    "mask>", "<mas", "▁", "\x1c", "İ", "[SEP]", "[MASK]", "[SE", "K]", "\u0301", "中", "\u4e2d\u0301", "\x0b",
)  # fmt: skip
# One megabyte each.
LONG = {
    "words": "hello world foo " * 62_500,
    "one letter": "a" * 1_000_000,
    "random letters": "".join(random.Random(0).choices("abcdefghijklmnop", k=1_000_000)),
    "dashes": "-" * 1_000_000,
    "added tokens": "<s>" * 333_333,
}


@cache
def plain(folder: str, length: int, direction: str = "right") -> Tokenizer:
    """The package's own tokenizer, which never cuts."""
    tokenizer = Tokenizer.from_file(str(DATA / folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(length, strategy="longest_first", direction=direction)
    return tokenizer


@cache
def ours(folder: str, length: int) -> TextTokenizer:
    return TextTokenizer.open(DATA / folder, length)


def odd_text(rng: random.Random, length: int) -> str:
    parts: list[str] = []
    wanted = rng.randrange(length, 60 * length)
    while sum(map(len, parts)) < wanted:
        kind = rng.random()
        if kind < 0.2:
            part = "".join(rng.choices("abcdefgh ", k=rng.randrange(1, 60)))
        elif kind < 0.5:
            part = "".join(rng.choices(PIECES, k=rng.randrange(1, 6)))
        else:
            part = rng.choice(PIECES)
        parts.append(part * rng.choice([1, 1, 1, 2, 3, rng.randrange(1, 50), rng.randrange(1, 30 * length)]))
    return "".join(parts)


@pytest.mark.parametrize("folder", FOLDERS)
def test_long_texts_have_the_ids_that_they_have_uncut(folder):
    rng = random.Random(9)
    cut = 0
    for _ in range(150):
        length = rng.choice([6, 7, 16, 24])
        text, tokenizer = odd_text(rng, length), ours(folder, length)
        wanted = plain(folder, length).encode(text)
        found = tokenizer.encode_one(text)
        assert (found.ids.tolist(), found.truncated) == (wanted.ids, bool(wanted.overflowing)), text
        assert tokenizer.encode([text])[0].ids.tolist() == wanted.ids
        cut += tokenizer._shortened(text) != text
    assert cut > 90


@pytest.mark.parametrize("length", [16, 17])
@pytest.mark.parametrize("folder", FOLDERS)
def test_long_pairs_have_the_ids_that_they_have_uncut(folder, length):
    rng = random.Random(length)
    for _ in range(6):
        # The package's own cost is the product of the two lengths.
        pair = (odd_text(rng, length)[: 20 * length], odd_text(rng, length)[: rng.choice([5, 20 * length])])
        wanted = plain(folder, length).encode(*pair)
        found = ours(folder, length).encode_one(pair)
        assert (found.ids.tolist(), found.truncated) == (wanted.ids, bool(wanted.overflowing)), pair


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
def test_a_megabyte_is_tokenized_as_a_few_kilobytes(text):
    tokenizer = ours("tokenizer", 128)
    assert len(tokenizer._shortened(text)) < 40_000
    found = tokenizer.encode_one(text)
    assert (len(found.ids), found.truncated) == (128, True)


def test_a_pair_of_two_megabytes_is_tokenized_as_a_few_kilobytes():
    found = ours("tokenizer", 128).encode_one((LONG["words"], LONG["dashes"]))
    assert (len(found.ids), found.truncated) == (128, True)


def test_white_space_that_a_later_mask_takes_away_gives_no_tokens():
    text = "film" + " " * 5_000 + "<mask>" + " story" * 500
    wanted = plain("tokenizer", 16).encode(text)
    found = ours("tokenizer", 16).encode_one(text)
    assert (found.ids.tolist(), found.truncated) == (wanted.ids, True)
    assert 4 in found.ids[:8]  # <mask>


def test_special_tokens_that_are_characters_are_cut_like_them():
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer" / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    tokenizer.enable_truncation(16)
    for text in ("!<s>!" * 400, "a</s>b<mask>" * 200, " <mask>" * 300):
        found = TextTokenizer(tokenizer, 16).encode_one(text)
        assert (found.ids.tolist(), found.truncated) == (tokenizer.encode(text).ids, True)


def test_the_end_of_a_long_text_counts_where_the_start_is_cut_off():
    tokenizer = TextTokenizer(plain("tokenizer", 16, "left"), 16)
    text = "one story " * 900 + "the end"
    found = tokenizer.encode_one(text)
    assert found.ids.tolist() == plain("tokenizer", 16, "left").encode(text).ids
    assert found.truncated
    assert tokenizer._shortened(text) == text[-128:]


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"pre_tokenizer": {"type": "Whitespace"}},
        {
            "pre_tokenizer": {
                "type": "ByteLevel",
                "add_prefix_space": False,
                "trim_offsets": True,
                "use_regex": False,
            }
        },
        {"model": {"dropout": 0.1}},
        {"model": {"end_of_word_suffix": "</w>"}},
        {"added_tokens": {"single_word": True}},
        {"added_tokens": {"content": " x"}},
        {"added_tokens": {"content": "<mask><s"}},
    ],
)
def test_a_tokenizer_of_which_it_is_not_known_to_hold_is_left_alone(changes):
    fields = json.loads((DATA / "tokenizer" / "tokenizer.json").read_text())
    for name, value in changes.items():
        if name == "model":
            fields["model"] |= value
        elif name == "added_tokens":
            fields["added_tokens"][-1] |= value
        else:
            fields[name] = value
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    assert PrefixFinder.of(tokenizer) is None
    if changes == {"model": {"dropout": 0.1}}:
        return  # its ids are random
    tokenizer.enable_truncation(8)
    text = "The story of a great film " * 60
    assert TextTokenizer(tokenizer, 8).encode_one(text).ids.tolist() == tokenizer.encode(text).ids


def test_a_lone_surrogate_is_refused_wherever_it_stands():
    from edgeroberta.errors import UsageError

    with pytest.raises(UsageError, match=r"lone surrogate U\+D800 at character 50000"):
        ours("tokenizer", 8).encode_one("word " * 10_000 + "\ud800")


@pytest.mark.parametrize("settings", [{}, {"handle_chinese_chars": False}, {"strip_accents": False}], ids=str)
def test_berts_long_texts_have_the_ids_that_they_have_uncut_whatever_it_makes_of_characters(settings):
    fields = json.loads((DATA / "tokenizer-bert" / "tokenizer.json").read_text(encoding="utf-8"))
    fields["normalizer"] |= settings
    tokenizer = Tokenizer.from_str(json.dumps(fields))
    tokenizer.enable_truncation(16)
    assert PrefixFinder.of(tokenizer) is not None
    rng = random.Random(5)
    for _ in range(100):
        text = odd_text(rng, 16)
        found, wanted = TextTokenizer(tokenizer, 16).encode_one(text), tokenizer.encode(text)
        assert (found.ids.tolist(), found.truncated) == (wanted.ids, bool(wanted.overflowing)), text


def test_a_megabyte_of_chinese_is_tokenized_as_a_few_kilobytes():
    tokenizer = ours("tokenizer-bert", 128)
    for text in ("这部电影很好看" * 150_000, "very good film. " * 62_500, "北京ＡＢ，" * 200_000):
        assert len(tokenizer._shortened(text)) < 1_100
        assert len(tokenizer.encode_one(text).ids) == 128
