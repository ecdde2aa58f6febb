from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from edgeroberta.data import text_lines
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.runtime import tokenizerfiles
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.training import corpus_tokens, word_memo, word_table
from edgeroberta.training.corpus_tokens import CorpusTokenizer
from edgeroberta.training.word_memo import WordMemo

FIXTURES = Path(__file__).parents[1] / "fixtures"
KINDS = ("tokenizer", "tokenizer-bert")
#: Characters that the cuts and the patterns tell apart, white space of all kinds among them.
ODD = (
    " \t\n\r\x0b\x1c\x85\u00a0\u1680\u2003\u2028\u3000\u200b\ufeff"
    "'’.,!?-<>/()\"0a9²½ABz\u0301éßñçİıſаящ很好。，！𝒳🎬\0"
)
TEXTS = st.text(st.sampled_from(ODD) | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
ADDED = st.sampled_from(
    ["</s>", "<s>", " <mask>", "<mask>", "[SEP]", "[MASK] ", "\n<mask>", "</s", "[M", "K]", "film"]
)
WORDS = st.lists(
    st.sampled_from(["film", " film", "film's", " it's", " 'tis", " don't", " 9th", " 1,000.5", "  "])
)


def of_package(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def memo_of(name: str) -> tuple[Tokenizer, WordMemo]:
    tokenizer, _ = tokenizerfiles.read(FIXTURES / name)
    memo = WordMemo.of(tokenizer, np.dtype("<i4"))
    assert memo is not None
    return tokenizer, memo


def ids_of(memo: WordMemo, texts: list[str]) -> list[list[int]]:
    ids, lengths = memo.encode(texts)
    return [part.tolist() for part in np.split(ids, np.cumsum(lengths)[:-1])]


@pytest.mark.parametrize("name", KINDS)
def test_ids_are_those_of_the_package_whatever_the_text(name):
    tokenizer, memo = memo_of(name)

    @settings(max_examples=400, deadline=None)
    @given(st.lists(st.lists(TEXTS | WORDS.map("".join) | ADDED, max_size=4).map("".join), max_size=5))
    def same(texts: list[str]) -> None:
        texts = [text or "a" for text in texts] or ["b"]
        assert ids_of(memo, texts) == [of_package(tokenizer, text) for text in texts]

    same()


@pytest.mark.parametrize("name", KINDS)
def test_ids_are_those_of_the_package_for_every_two_ascii_characters_side_by_side(name):
    tokenizer, memo = memo_of(name)
    visible = [chr(code) for code in range(1, 128)]
    texts = [f"a {one}{other}b '{one} {other}é {one}" for one in visible for other in visible]
    assert ids_of(memo, texts) == [of_package(tokenizer, text) for text in texts]


def test_words_that_were_met_before_are_not_tokenized_again():
    tokenizer, memo = memo_of("tokenizer")
    first = ids_of(memo, ["a film about films, again"])
    memo._tokenizer = None  # type: ignore[assignment]
    assert ids_of(memo, ["a film about films, again"]) == first
    assert first == [of_package(tokenizer, "a film about films, again")]


def test_all_words_are_forgotten_when_they_become_too_many(monkeypatch):
    monkeypatch.setattr(word_memo, "_MOST", 50)
    tokenizer, memo = memo_of("tokenizer")
    for start in range(0, 300, 20):
        texts = [" ".join(f"w{n}x" for n in range(start, start + 25)), "the same " * 3 + "y" * 90]
        assert ids_of(memo, texts) == [of_package(tokenizer, text) for text in texts]
        assert len(memo) <= 50


def test_words_of_the_same_slot_are_told_apart(monkeypatch):
    monkeypatch.setattr(word_table, "_hashes", lambda keys: np.zeros(len(keys[0]), np.uint64))
    tokenizer, memo = memo_of("tokenizer")
    texts = ["one two three one", "two four", "five one two " + "longerthantwentythreebytes"]
    for _ in range(2):
        assert ids_of(memo, texts) == [of_package(tokenizer, text) for text in texts]


@pytest.mark.parametrize(
    ("changed", "token"),
    [
        ({"add_prefix_space": True}, {}),
        ({}, {"rstrip": True}),
        ({}, {"single_word": True}),
        ({}, {"content": "two words"}),
    ],
)
def test_tokenizers_that_look_beside_a_word_have_no_memo(changed, token):
    fields = json.loads((FIXTURES / "tokenizer" / "tokenizer.json").read_text())
    fields["pre_tokenizer"].update(changed)
    fields["added_tokens"][-1].update(token)
    assert WordMemo.of(Tokenizer.from_str(json.dumps(fields)), np.dtype("<u2")) is None


def test_a_tokenizer_of_another_kind_has_no_memo():
    tokenizer, _ = tokenizerfiles.read(FIXTURES / "tokenizer-xlm-roberta")
    assert WordMemo.of(tokenizer, np.dtype("<i4")) is None


@pytest.mark.parametrize("name", ["tiny_mask_checkpoint", "tiny_bert_checkpoint", "tiny_xlmr_checkpoint"])
def test_documents_have_the_ids_that_the_device_has_without_special_tokens(name, request, monkeypatch):
    monkeypatch.setattr(corpus_tokens, "_BATCH", 40)
    folder = request.getfixturevalue(name)
    tokenizer, device = CorpusTokenizer.open(Checkpoint(folder)), TextTokenizer.open(folder, 512)
    texts = ["A film.", "它很好 。 film </s> again", "x <mask> y", "[SEP] [MASK]</s></s>", "Don't! ", "  no"]
    found = tokenizer.encode(texts)
    ids = [part.tolist() for part in np.split(found.ids, np.cumsum(found.lengths)[:-1])]
    wanted = [device.encode_one(text).ids.tolist()[1:-1] for text in texts]
    assert ids == wanted


def test_special_tokens_in_texts_are_counted(tiny_mask_checkpoint):
    tokenizer = CorpusTokenizer.open(Checkpoint(tiny_mask_checkpoint))
    tokenizer.encode(["a </s> b </s>", "plain", "<mask>"])
    assert tokenizer.seen == {"</s>": 2, "<mask>": 1}


def test_special_tokens_are_characters_where_the_tokenizer_splits_them(make_checkpoint):
    folder = make_checkpoint()
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "split_special_tokens": True}))
    tokenizer = CorpusTokenizer.open(Checkpoint(folder))
    found = tokenizer.encode(["a </s> b"])
    assert 2 not in found.ids
    assert found.ids.tolist() == TextTokenizer.open(folder, 512).encode_one("a </s> b").ids.tolist()[1:-1]
    assert not tokenizer.seen


def test_ids_take_two_bytes_where_the_vocabulary_allows_it(tiny_mask_checkpoint):
    assert CorpusTokenizer.open(Checkpoint(tiny_mask_checkpoint)).dtype == np.dtype("<u2")


def test_a_long_document_is_tokenized_as_a_whole(tiny_mask_checkpoint):
    tokenizer = CorpusTokenizer.open(Checkpoint(tiny_mask_checkpoint))
    text = "the film was good. " * (text_lines.LONGEST // 19)
    found = tokenizer.encode([text, "short"])
    assert found.lengths[0] == len(of_package(tokenizer.tokenizer, text))
