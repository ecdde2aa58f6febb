from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from edgeroberta.runtime import tokenizerfiles
from edgeroberta.training.sentence_ends import SentenceEnds, byte_characters

FIXTURES = Path(__file__).parents[1] / "fixtures"
KINDS = ("tokenizer", "tokenizer-xlm-roberta", "tokenizer-bert")


def sentences(tokenizer: Tokenizer, *documents: str) -> list[str]:
    """Cut documents into sentences by their ids, and return what each says."""
    found = [tokenizer.encode(text, add_special_tokens=False) for text in documents]
    ids = np.array([token for one in found for token in one.ids])
    first = np.zeros(len(ids), bool)
    first[np.cumsum([0, *(len(one.ids) for one in found[:-1])])] = True
    ends = SentenceEnds.of(tokenizer).of_ids(ids, first)
    assert ends.shape == ids.shape
    stops = np.flatnonzero(ends) + 1
    parts = np.split(ids, stops[:-1])
    offsets = [offset for one in found for offset in one.offsets]
    texts = [text for text, one in zip(documents, found, strict=True) for _ in one.ids]
    written = []
    for start, part in zip([0, *stops[:-1].tolist()], parts, strict=True):
        last = start + len(part) - 1
        written.append(texts[start][offsets[start][0] : offsets[last][1]].strip())
    return written


@pytest.fixture(params=KINDS)
def tokenizer(request) -> Tokenizer:
    return tokenizerfiles.read(FIXTURES / request.param)[0]


def over_bytes() -> Tokenizer:
    """A tokenizer without merges: every mark beyond ASCII is several tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    found = Tokenizer(models.BPE(vocab={text: number for number, text in enumerate(alphabet)}, merges=[]))
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    return found


def test_sentences_end_behind_marks_before_a_space(tokenizer):
    text = "It was good. Was it long? No! The end"
    assert sentences(tokenizer, text) == ["It was good.", "Was it long?", "No!", "The end"]


def test_documents_end_sentences(tokenizer):
    assert sentences(tokenizer, "no mark", "and (one.", ") more.") == ["no mark", "and (one.", ") more."]


def test_closing_quotes_and_several_marks_stay_with_their_sentence():
    text = 'He said "no." Really?! (Yes.) Good.'
    for tokenizer in (over_bytes(), tokenizerfiles.read(FIXTURES / "tokenizer")[0]):
        assert sentences(tokenizer, text) == ['He said "no."', "Really?!", "(Yes.)", "Good."]


def test_marks_inside_words_and_behind_abbreviations_end_nothing():
    tokenizer, _ = tokenizerfiles.read(FIXTURES / "tokenizer")
    assert len(sentences(tokenizer, "It cost 3.5 dollars at www.example.org today")) == 1
    assert SentenceEnds.of(over_bytes()).abbreviates[ord("J") - ord("!")]
    text = "I saw J. Depp and was glad. I left."
    assert sentences(over_bytes(), text)[-1] == "I left."
    assert len(sentences(over_bytes(), text)) == 2


def test_a_line_break_or_a_tag_may_follow_a_sentence():
    assert sentences(over_bytes(), "Good.<br />Bad.\nEnd.") == ["Good.", "<br />Bad.", "End."]


def test_chinese_sentences_need_no_space():
    pieces = [
        ("<unk>", 0.0),
        ("很好", -1.0),
        ("。", -1.0),
        ("!", -1.0),
        ("?」", -2.0),
        ("我看了", -1.0),
        ("▁", -3.0),
    ]
    xlmr = Tokenizer(models.Unigram(pieces, unk_id=0))  # whose normalizer makes ! of ！
    bert, _ = tokenizerfiles.read(FIXTURES / "tokenizer-bert")
    assert sentences(xlmr, "很好。我看了!很好?」我看了") == ["很好。", "我看了!", "很好?」", "我看了"]
    assert sentences(bert, "天气很好。天气很好！天气") == ["天气很好。", "天气很好！", "天气"]


def test_chinese_marks_that_are_three_tokens_end_sentences():
    text = "很好。我看了！真的吗？好"
    assert sentences(over_bytes(), text) == ["很好。", "我看了！", "真的吗？", "好"]


def test_every_byte_has_its_character():
    found = byte_characters()
    assert sorted(found.values()) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert found[ord(" ")] == "Ġ"
    assert found[ord("a")] == "a"
