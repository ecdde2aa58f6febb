"""Chinese as tokenizers of BERT and XLM-R read it: no spaces, full width, mixed scripts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgeroberta.parity import tokens
from edgeroberta.roberta import corpus, token_selection, vocabulary_cut
from edgeroberta.roberta.checkpoint import Checkpoint
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.encoding import WordMarks
from edgeroberta.runtime.tokenizer import TextTokenizer

TEXTS = [
    "国足在世界杯预选赛中获胜",
    "小明在2023年9月买了iPhone15手机，花了６９９９元。",
    "ＡＢ《红楼梦》Ａ股 “引号” …… ——",
    "繁體與简体，\u3000全角空格，𠮷野家",
    "日本語のテキスト と 한글 mixed with English，no space",
    "\u4e2d\u0301\ufeff文\u200b本",
]


@pytest.fixture(scope="module")
def xlmr(tiny_xlmr_checkpoint, tmp_path_factory) -> Path:
    """XLM-R with a Unigram of Chinese pieces, and its normalizer's half-width forms."""
    from tokenizers import Tokenizer

    folder = Path(shutil.copytree(tiny_xlmr_checkpoint, tmp_path_factory.mktemp("xlmr") / "model"))
    file = folder / "tokenizer.json"
    fields = json.loads(file.read_text(encoding="utf-8"))
    known = {piece for piece, _ in fields["model"]["vocab"]}
    letters = dict.fromkeys(letter for text in TEXTS[:3] for letter in text if letter not in known)
    words = ["国足", "世界杯", "预选赛", "▁国足", "手机", "iPhone", "红楼梦", "69", "中获胜"]
    # <mask> is an added token behind the model's own, and moves up.
    fields["model"]["vocab"] += [
        [piece, -9.0 - number / 100] for number, piece in enumerate([*letters, *words])
    ]
    fields["normalizer"] = {"type": "NFKC"}
    for token in fields["added_tokens"]:
        if token["content"] == "<mask>":
            token["id"] = len(fields["model"]["vocab"])
    file.write_text(json.dumps(fields, ensure_ascii=False), encoding="utf-8")
    config = folder / "tokenizer_config.json"
    stated = json.loads(config.read_text())
    config.write_text(json.dumps({**stated, "tokenizer_class": "PreTrainedTokenizerFast"}))
    assert Tokenizer.from_file(str(file)).get_vocab_size() < 600
    return folder


@pytest.fixture(params=["bert", "xlm-roberta"])
def folder(request, tiny_bert_checkpoint) -> Path:
    return tiny_bert_checkpoint if request.param == "bert" else request.getfixturevalue("xlmr")


def test_chinese_has_the_tokens_of_transformers(folder):
    assert tokens.check(Checkpoint(folder), TEXTS) is None
    assert tokens.check(Checkpoint(folder), list(zip(TEXTS, TEXTS[::-1], strict=True))) is None


def test_pieces_of_several_characters_are_found_without_spaces(xlmr):
    file = TokenizerFile.read(xlmr / "tokenizer.json")
    ids = TextTokenizer.open(xlmr, 64).encode_one(TEXTS[0]).ids.tolist()
    pieces = [file.pieces[number] for number in ids[1:-1]]
    assert "".join(pieces).removeprefix("▁") == TEXTS[0]
    assert "世界杯" in pieces


@pytest.mark.parametrize("text", TEXTS)
def test_places_are_characters_of_the_text_as_it_was_written(folder, text):
    found = TextTokenizer.open(folder, 64).encode_one(text, places=True).places
    assert found is not None
    starts, ends = found[1:-1, 0], found[1:-1, 1]
    assert (starts <= ends).all()
    assert (ends <= len(text)).all()
    assert (starts[1:] >= starts[:-1]).all()


def test_each_chinese_character_is_a_word_to_bert_and_a_run_of_them_to_xlmr(tiny_bert_checkpoint, xlmr):
    text = TEXTS[0]
    bert = TextTokenizer.open(tiny_bert_checkpoint, 64).encode_one(text, places=True).places
    run = TextTokenizer.open(xlmr, 64).encode_one(text, places=True).places
    assert bert is not None
    assert run is not None
    assert bert[1:-1, 2].tolist() == list(range(len(text)))
    assert set(run[1:-1, 2].tolist()) == {0}
    from tokenizers import Tokenizer

    marks = WordMarks.of(Tokenizer.from_file(str(xlmr / "tokenizer.json")))
    assert (marks.unknown, marks.inside) == (3, None)


def test_long_chinese_is_cut_and_read_in_windows_as_it_is_uncut(folder):
    text = "".join(TEXTS[:3]) * 400
    whole = TextTokenizer.open(folder, 1 << 20).encode_one(text).ids.tolist()
    assert TextTokenizer.open(folder, 32).encode_one(text).ids.tolist()[:-1] == whole[:31]
    windows = TextTokenizer.open(folder, 32, long_text="windows", stride=0).encode_one(text)
    read = [number for one in (windows, *windows.rest) for number in one.ids.tolist()[1:-1]]
    assert read == whole[1:-1]


def test_chinese_rows_keep_their_tokens_in_a_cut_vocabulary(folder, tmp_path):
    file = TokenizerFile.read(folder / "tokenizer.json")
    rows = max(file.pieces) + 1
    counts = corpus.count(folder, [TEXTS[:3]], rows) + corpus.on_the_way(file, [TEXTS[:3]], rows)
    kept = token_selection.choose(
        file,
        counts,
        limits=token_selection.VocabularyLimits(keep=0),
        prior=-token_selection.ranks(file, rows),
    )
    vocabulary_cut.write_tokenizer(file, tmp_path, kept)
    assert len(kept) < rows
    for text in TEXTS[:3]:
        old, new = (TextTokenizer.open(each, 128).encode_one(text).ids for each in (folder, tmp_path))
        assert kept[new].tolist() == old.tolist()
