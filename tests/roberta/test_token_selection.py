from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_inputs import TEXTS as ODD
from tokenizers import Tokenizer, models, pre_tokenizers

from edgeroberta.errors import CheckpointError, UsageError
from edgeroberta.roberta import corpus, token_selection, vocabulary_cut, wordpiece
from edgeroberta.roberta.token_selection import VocabularyLimits
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.tokenizer import TextTokenizer

LONG = 1 << 20
WORDS = [
    *("the", "film", "movie", "story", "is", "was", "great", "dull", "charming", "not", "would", "see", "it"),
    *("again", "cast", "music", "director", "ending", "naïve", "café", "unexpectedly", "tender", "2024"),
    *("$1,200", "Film", "DER", "gefällt", "película", "\U0001f600", "日本", "zzz", "q."),
]
FAMILIES = ("roberta", "xlm-roberta", "bert")


def texts(seed: int, count: int = 12) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(WORDS, k=chance.randint(1, 8))) for _ in range(count)]


@pytest.fixture(params=FAMILIES)
def folder(request, tokenizer_folder, xlmr_tokenizer_folder, bert_tokenizer_folder):
    folders = {"roberta": tokenizer_folder, "bert": bert_tokenizer_folder}
    return folders.get(request.param, xlmr_tokenizer_folder)


def read(folder: Path) -> tuple[TokenizerFile, int]:
    file = TokenizerFile.read(folder / "tokenizer.json")
    return file, max(file.pieces) + 1


def cut(folder: Path, output: Path, corpora: list[str], **limits: Any) -> np.ndarray:
    file, rows = read(folder)
    counts = corpus.count(folder, [corpora], rows) + corpus.on_the_way(file, [corpora], rows)
    kept = token_selection.choose(
        file, counts, limits=VocabularyLimits(**limits), prior=-token_selection.ranks(file, rows)
    )
    output.mkdir(exist_ok=True)
    vocabulary_cut.write_tokenizer(file, output, kept)
    return kept


def ids(folder: Path, text: str) -> list[int]:
    return TextTokenizer.open(folder, LONG).encode_one(text).ids.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_texts_of_the_corpora_keep_their_tokens_and_all_texts_have_some(seed, folder, tmp_path):
    corpora = texts(seed)
    kept = cut(folder, tmp_path / "new", corpora, keep=random.Random(seed).choice([0, 0.4, 0.7]))
    assert len(kept) < read(folder)[1]
    for text in corpora:
        assert [int(kept[one]) for one in ids(tmp_path / "new", text)] == ids(folder, text)
    known = read(folder)[0].ids
    unknown = known.get("<unk>", known.get("[UNK]"))
    for text in [*texts(seed + 1000), *ODD.values()]:
        before, after = ids(folder, text), ids(tmp_path / "new", text)
        assert len(after) >= 2
        # Whatever had tokens has some still: nothing becomes unknown that was not.
        assert after.count(unknown) == before.count(unknown)


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_in_the_corpora_keep_their_tokens(name, folder, tmp_path):
    kept = cut(folder, tmp_path / "new", [ODD[name]], keep=0)
    assert kept[ids(tmp_path / "new", ODD[name])].tolist() == ids(folder, ODD[name])


def test_bytes_decode_to_the_text_they_came_from(tokenizer_folder, tmp_path):
    cut(tokenizer_folder, tmp_path, ["a"], keep=0)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in ("ünïcode 日本 \U0001f600", "The director is charming"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_special_tokens_keep_their_ids_and_their_places(folder, tmp_path):
    kept = cut(folder, tmp_path, ["a film"], keep=0)
    assert kept[:4].tolist() == [0, 1, 2, 3]
    assert kept.tolist() == sorted(set(kept.tolist()))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    known = read(folder)[0].ids
    bert = "[MASK]" in known
    first = ["[PAD]", "[unused1]", "[unused2]", "[unused3]"] if bert else ["<s>", "<pad>", "</s>", "<unk>"]
    assert [tokenizer.token_to_id(name) for name in first] == [0, 1, 2, 3]
    name, cls, sep = ("[MASK]", "[CLS]", "[SEP]") if bert else ("<mask>", "<s>", "</s>")
    mask, begin, end = map(tokenizer.token_to_id, (name, cls, sep))
    assert kept[mask] == known[name]
    assert mask in tokenizer.encode(f"a {name} film").ids
    pair = tokenizer.encode("a", "film")
    assert (pair.ids[0], pair.ids[-1], pair.ids.count(end)) == (begin, end, 2 if bert else 3)
    assert max(pair.type_ids) == int(bert)


def test_more_is_kept_up_to_the_share_and_never_less_than_the_corpora_use(folder, tmp_path):
    rows = read(folder)[1]
    few = cut(folder, tmp_path, ["a"], keep=0)
    share = (len(few) + rows) / 2 / rows
    assert len(cut(folder, tmp_path, ["a"], keep=share)) == int(share * rows)
    used = cut(folder, tmp_path, texts(1), keep=0)
    assert set(few) < set(used)
    every = range(rows)
    if (file := read(folder)[0]).kind == "WordPiece":  # all that a text can have
        every = sorted(wordpiece.possible(file) | set(range(4)) | file.named)
    assert cut(folder, tmp_path, texts(1), keep=1).tolist() == list(every)


def test_filling_up_takes_the_first_merges(tokenizer_folder, tmp_path):
    file, _ = read(tokenizer_folder)
    few = cut(tokenizer_folder, tmp_path, [], keep=0)
    kept = cut(tokenizer_folder, tmp_path, [], size=len(few) + 20)
    first = {file.ids[left + right] for left, right in file.merges[:20]}
    assert set(kept.tolist()) == set(few.tolist()) | first
    assert len(json.loads((tmp_path / "tokenizer.json").read_text())["model"]["merges"]) >= 20


def test_a_hard_size_drops_the_rarest_tokens_first(folder, tmp_path):
    corpora = ["the film"] * 50 + ["unexpectedly"]
    often = cut(folder, tmp_path, ["the film"], keep=0)
    used = cut(folder, tmp_path, corpora, keep=0)
    assert len(often) < len(used)
    kept = cut(folder, tmp_path, corpora, size=len(often))
    assert kept.tolist() == often.tolist()
    assert kept[ids(tmp_path, "the film")].tolist() == ids(folder, "the film")
    assert corpus.changed(folder, tmp_path, kept, [corpora]) == 1


def test_rare_tokens_do_not_count_as_used(folder, tmp_path):
    corpora = ["the film"] * 3 + ["unexpectedly"]
    assert set(cut(folder, tmp_path, corpora, keep=0, min_count=2)) < set(
        cut(folder, tmp_path, corpora, keep=0)
    )
    assert (
        cut(folder, tmp_path, corpora, keep=0, min_count=3).tolist()
        == cut(folder, tmp_path, ["the film"], keep=0).tolist()
    )


def test_a_size_below_what_every_text_needs_is_refused(folder, tmp_path):
    least = len(cut(folder, tmp_path, [], keep=0))
    with pytest.raises(UsageError) as caught:
        cut(folder, tmp_path, ["a"], size=least - 1)
    assert str(caught.value) == (
        f"{least - 1} tokens are too few: special tokens and single characters alone are {least}\n"
        f"  next: give at least {least}"
    )


def test_both_ways_of_writing_merges_are_read_and_kept(tokenizer_folder, tmp_path):
    fields = json.loads((tokenizer_folder / "tokenizer.json").read_text())
    assert isinstance(fields["model"]["merges"][0], list)
    new = cut(tokenizer_folder, tmp_path / "new", texts(3), keep=0)
    fields["model"]["merges"] = [" ".join(pair) for pair in fields["model"]["merges"]]
    old = tmp_path / "old"
    old.mkdir()
    (old / "tokenizer.json").write_text(json.dumps(fields))
    assert cut(old, tmp_path / "strings", texts(3), keep=0).tolist() == new.tolist()
    merges = [
        json.loads((tmp_path / name / "tokenizer.json").read_text())["model"]["merges"]
        for name in ("new", "strings")
    ]
    assert [" ".join(pair) for pair in merges[0]] == merges[1]


def unigram(pieces: list[tuple[str, float]], folder: Path) -> Path:
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_unknown_characters_cost_what_they_did(tmp_path):
    """``q`` alone is unknown, at 10 below the lowest score: ``qa b`` scores -50, unknown and ``ab`` -51."""
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0)]
    pieces += [("a", -1.0), ("b", -25.0), ("ab", -1.0), ("qa", -25.0)]
    folder = unigram([*pieces, ("rare", -40.0)], tmp_path / "old")
    kept = cut(folder, tmp_path / "new", ["qab", "ab"], keep=0)
    assert kept[ids(tmp_path / "new", "qab")].tolist() == ids(folder, "qab") == [7, 5]
    assert ids(unigram(pieces, tmp_path / "without"), "qab") == [0, 6]


def edited(source: Path, folder: Path, change: Any) -> Path:
    fields = json.loads((source / "tokenizer.json").read_text())
    change(fields)
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps(fields))
    return folder


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda f: f["model"].update(dropout=0.1), "a dropout of 0.1 makes its tokens random"),
        (
            lambda f: f["model"].update(end_of_word_suffix="</w>"),
            "its pieces carry a prefix or suffix, as those over bytes do not",
        ),
        (
            lambda f: f.update(model={"type": "WordLevel", "vocab": {"<unk>": 0}, "unk_token": "<unk>"}),
            "its model is WordLevel, known are BPE, Unigram and WordPiece",
        ),
    ],
)
def test_tokenizers_of_another_kind_are_refused(change, what, tokenizer_folder, tmp_path):
    folder = edited(tokenizer_folder, tmp_path / "old", change)
    with pytest.raises(CheckpointError) as caught:
        read(folder)
    assert str(caught.value) == (
        f"{folder / 'tokenizer.json'}: the tokens of this tokenizer cannot be changed: {what}\n"
        "  next: leave the stages tokenizer and vocabulary out of the recipe"
    )


def test_a_damaged_tokenizer_is_refused(tokenizer_folder, tmp_path):
    folder = edited(tokenizer_folder, tmp_path / "old", lambda fields: fields["model"].pop("vocab"))
    with pytest.raises(CheckpointError, match="not a tokenizer"):
        read(folder)


def test_ids_within_padding_and_processors_are_renumbered(tokenizer_folder, tmp_path):
    first = {"Sequence": {"id": "A", "type_id": 0}}

    def change(fields: dict[str, Any]) -> None:
        fields["padding"] = {
            "strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None,
            "pad_id": 599, "pad_type_id": 0, "pad_token": "Ġloses",
        }  # fmt: skip
        fields["post_processor"] = {
            "type": "Sequence",
            "processors": [
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                {
                    "type": "TemplateProcessing",
                    "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, first],
                    "pair": [first, {"Sequence": {"id": "B", "type_id": 0}}],
                    "special_tokens": {"x": {"id": "x", "ids": [598], "tokens": ["Ġpicture"]}},
                },
            ],
        }  # fmt: skip

    folder = edited(tokenizer_folder, tmp_path / "old", change)
    pieces = read(folder)[0].pieces
    assert {598, 599} <= read(folder)[0].named
    kept = cut(folder, tmp_path / "new", ["a"], keep=0)
    fields = json.loads((tmp_path / "new" / "tokenizer.json").read_text())
    assert kept[fields["padding"]["pad_id"]] == 599
    assert kept[ids(tmp_path / "new", "a")].tolist()[0] == 598
    assert pieces[598] in fields["model"]["vocab"]


def test_no_text_has_pieces_that_words_are_not_made_of(bert_tokenizer_folder):
    file, _ = read(bert_tokenizer_folder)
    possible = {file.pieces[number] for number in wordpiece.possible(file)}
    assert {"film", "##s", "很", "，", "2"} <= possible
    assert possible.isdisjoint({"[unused1]", "[CLS]", "##很", "##，", "##!"})


def word_pieces(vocabulary: list[str], folder: Path) -> Path:
    pieces = ["[PAD]", "[U1]", "[U2]", "[U3]", "[UNK]", *vocabulary]
    tokenizer = Tokenizer(models.WordPiece({each: n for n, each in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def test_an_unknown_word_of_the_corpora_stays_unknown(tmp_path):
    # Of "abc" the longest piece is "ab", after which nothing fits; without it, "a" and "##bc" would.
    folder = word_pieces(["a", "b", "c", "##b", "##a", "ab", "##bc", "b", "##ca"], tmp_path / "old")
    assert ids(folder, "abc") == [4]
    for corpora, ways in ((["abc", "abc bc"], True), (["bc"], False)):
        new = tmp_path / f"new-{ways}"
        kept = cut(folder, new, corpora, keep=0)
        assert (read(folder)[0].ids["ab"] in kept) is ways
        for text in corpora:
            assert kept[ids(new, text)].tolist() == ids(folder, text)


def test_a_piece_with_a_character_that_is_not_there_alone_stays(tmp_path):
    folder = word_pieces(["a", "##b", "abq", "ab"], tmp_path / "old")
    kept = cut(folder, tmp_path / "new", ["a"], keep=0)
    assert {read(folder)[0].pieces[int(number)] for number in kept} >= {"a", "##b", "abq"}
    assert kept[ids(tmp_path / "new", "abq")].tolist() == ids(folder, "abq")
