from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.roberta import new_words
from edgeroberta.roberta.new_words import WordReader


@pytest.fixture
def reader(request) -> WordReader:
    folder: Path = request.getfixturevalue(request.param)
    return WordReader.open(folder / "tokenizer.json")


BPE, UNIGRAM, WORDPIECE = "tokenizer_folder", "xlmr_tokenizer_folder", "bert_tokenizer_folder"
EACH = pytest.mark.parametrize("reader", [BPE, UNIGRAM, WORDPIECE], indirect=True)


@pytest.mark.parametrize(
    ("reader", "word", "forms"),
    [
        (BPE, "myocarditis", ["myocarditis", "Ġmyocarditis"]),
        (BPE, "naïveté", ["naÃ¯vetÃ©", "ĠnaÃ¯vetÃ©"]),
        (BPE, "film", ["film"]),  # "Ġfilm" is a token already
        (UNIGRAM, "myocarditis", ["▁myocarditis"]),
        (UNIGRAM, "心肌炎", ["▁心肌炎", "心肌炎"]),  # no spaces before its words
        (WORDPIECE, "Myocarditis", ["myocarditis"]),
        (WORDPIECE, "film", []),
    ],
    indirect=["reader"],
)
def test_a_word_has_a_piece_for_each_way_in_which_a_sentence_has_it(reader, word, forms):
    pieces = reader.candidate(word, {}).pieces
    assert [piece.text for piece in pieces] == forms
    assert all(piece.parts == reader.pieces(piece.text) for piece in pieces)


def test_where_every_text_begins_with_a_space_a_word_behind_a_bracket_has_none(tokenizer_folder, tmp_path):
    for file in tokenizer_folder.glob("*.json"):
        shutil.copy(file, tmp_path)
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "add_prefix_space": True}))
    pieces = WordReader.open(tmp_path / "tokenizer.json").candidate("myocarditis", {}).pieces
    assert [piece.text for piece in pieces] == ["Ġmyocarditis", "myocarditis"]


@pytest.mark.parametrize(
    ("reader", "word", "what"),
    [
        (BPE, "heart attack", "'heart attack' is 2 words to the tokenizer: heart, attack"),
        (BPE, "covid-19", "'covid-19' is 3 words to the tokenizer: covid, -, 19"),
        (WORDPIECE, "心肌炎", "'心肌炎' is 3 words to the tokenizer: 心, 肌, 炎"),
        (UNIGRAM, "a b", "'a b' is 2 words to the tokenizer: a, b"),
        (BPE, "<mask>", "'<mask>' is a token that the tokenizer keeps apart"),
        (WORDPIECE, "[SEP]", "'[SEP]' is a token that the tokenizer keeps apart"),
    ],
    indirect=["reader"],
)
def test_what_is_not_one_word_or_a_special_token_is_refused(reader, word, what):
    with pytest.raises(UsageError) as caught:
        reader.candidate(word, {})
    assert caught.value.what == what
    assert caught.value.hint


@EACH
def test_words_are_counted_wherever_they_stand_between_spaces(reader):
    texts = ["Myocarditis: a myocarditis, or (myocarditis).", "42 ... myocarditis's", "myocardial"]
    counts = reader.count([texts[:1], texts[1:]])
    words = dict.fromkeys(map(reader.word, counts))
    assert not {"42", "...", "(", "'s"} & words.keys()
    found = {each.word: each for each in reader.frequent(counts, least=1, most=99)}
    # BERT's are in small letters; Unigram takes the bracket into its word.
    times = {"BPE": 3, "Unigram": 2, "WordPiece": 4}[reader.file.kind]
    assert found["myocarditis"].occurrences == times
    pieces = found["myocarditis"].pieces
    counted = [counts[piece.text] * (len(piece.parts) - 1) for piece in pieces]
    assert found["myocarditis"].saved == sum(counted) > 0
    assert found["myocardial"].occurrences == 1


@EACH
def test_the_words_that_save_most_come_first_and_rare_ones_not_at_all(reader):
    texts = ["unexpectedly tender"] * 3 + ["extraordinarily"] * 2 + ["bewildering"]
    found = reader.frequent(reader.count([texts]), least=2, most=99)
    assert [each.saved for each in found] == sorted((each.saved for each in found), reverse=True)
    assert {"unexpectedly", "extraordinarily"} <= {each.word for each in found}
    assert "bewildering" not in {each.word for each in found}
    assert reader.frequent(reader.count([texts]), least=2, most=1) == found[:1]
    assert reader.frequent(reader.count([texts]), least=4, most=9) == []


def test_of_more_strings_than_there_is_room_for_the_rarest_are_dropped(tokenizer_folder, monkeypatch):
    monkeypatch.setattr(new_words, "_MOST_STRINGS", 50)
    reader = WordReader.open(tokenizer_folder / "tokenizer.json")
    chunks = [[f"rare{chr(97 + a)}{chr(97 + b)} often"] for a in range(9) for b in range(9)]
    counts = reader.count(chunks)
    assert counts["Ġoften"] == 81
    assert len(counts) <= 50


def test_texts_without_spaces_are_no_words(tokenizer_folder):
    reader = WordReader.open(tokenizer_folder / "tokenizer.json")
    assert reader.count([["x" * 61, "心" * 61]]) == {}


def test_words_that_are_one_to_the_tokenizer_give_one_piece(bert_tokenizer_folder):
    reader = WordReader.open(bert_tokenizer_folder / "tokenizer.json")
    words = [reader.candidate(word, {}) for word in ("Myocarditis", "myocarditis", "myocardium")]
    assert [piece.text for piece in new_words.distinct(words)] == ["myocarditis", "myocardium"]
