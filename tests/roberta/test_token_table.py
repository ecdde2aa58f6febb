"""Ids that a cut tokenizer gives, told by those of the whole one."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from odd_inputs import TEXTS as ODD

from edgeroberta.roberta import token_selection, token_table
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.storage.files import TOKENIZER, TOKENIZER_CONFIG

LONG = 1 << 20
FAMILIES = ("roberta", "xlm-roberta", "bert")
SYLLABLES = (
    "the",
    "fil",
    "m",
    "sto",
    "ry",
    "gr",
    "ea",
    "t",
    "ü",
    "ing",
    "un",
    "able",
    "日",
    "\U0001f600",
    "q",
)


@pytest.fixture(params=FAMILIES)
def whole(request, tokenizer_folder, xlmr_tokenizer_folder, bert_tokenizer_folder, tmp_path) -> Path:
    folders = {"roberta": tokenizer_folder, "bert": bert_tokenizer_folder}
    folder = shutil.copytree(folders.get(request.param, xlmr_tokenizer_folder), tmp_path / "whole")
    size = max(TokenizerFile.read(folder / TOKENIZER).ids.values()) + 1
    (folder / "config.json").write_text(json.dumps({"vocab_size": size}))
    return Path(folder)


def texts(seed: int, count: int = 200) -> list[str]:
    """Write words that nobody has seen, some of them unknown to WordPiece."""
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 5))) for _ in range(count)]
    return [" ".join(chance.choices(words, k=chance.randint(1, 8))) for _ in range(count)]


def cut(whole: Path, folder: Path, kept: Sequence[int]) -> Path:
    shutil.copytree(whole, folder)
    (folder / TOKENIZER).write_text(TokenizerFile.read(whole / TOKENIZER).only(kept))
    return folder


def chosen(whole: Path, seed: int, keep: float = 0.5) -> list[int]:
    """Choose pieces as the stage does, for texts that nobody has seen."""
    file = TokenizerFile.read(whole / TOKENIZER)
    counts = np.random.default_rng(seed).integers(0, 2, len(file.ids))
    counts[np.random.default_rng(seed).random(len(file.ids)) > keep / 2] = 0
    prior = np.random.default_rng(seed + 1).random(len(file.ids))
    limits = token_selection.VocabularyLimits(keep=keep)
    return token_selection.choose(file, counts, limits=limits, prior=prior).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_texts_whose_tokens_are_all_kept_have_the_ids_that_the_cut_tokenizer_gives(whole, tmp_path, seed):
    small = cut(whole, tmp_path / "small", chosen(whole, seed))
    table = token_table.of_cut(small, whole)
    assert table.dtype == np.int32
    before, after = (TextTokenizer.open(folder, LONG) for folder in (whole, small))
    inputs = [*texts(seed), *ODD.values()]
    taken = 0
    for text, full, own in zip(inputs, before.encode(inputs), after.encode(inputs), strict=True):
        found = table[full.ids]
        if (found >= 0).all():
            assert found.tolist() == own.ids.tolist(), text
            taken += 1
    assert 10 < taken < len(inputs) - 10


def test_unknown_words_of_wordpiece_are_always_tokenized_again(bert_tokenizer_folder, tmp_path):
    whole = Path(shutil.copytree(bert_tokenizer_folder, tmp_path / "whole"))
    (whole / "config.json").write_text(json.dumps({"vocab_size": 486}))
    ids = TokenizerFile.read(whole / TOKENIZER).ids
    table = token_table.of_cut(cut(whole, tmp_path / "small", chosen(whole, 0)), whole)
    assert table[ids["[UNK]"]] == -1
    assert table[ids["[SEP]"]] >= 0


def test_a_tokenizer_without_what_its_tokens_are_made_of_has_no_ids_of_the_table(tokenizer_folder, tmp_path):
    whole = Path(shutil.copytree(tokenizer_folder, tmp_path / "whole"))
    (whole / "config.json").write_text(json.dumps({"vocab_size": 600}))
    file = TokenizerFile.read(whole / TOKENIZER)
    made_of = token_selection.parts(file)
    part = next(number for number in made_of if any(number in others for others in made_of.values()))
    kept = [number for number in sorted(file.ids.values()) if number != part]
    assert (token_table.of_cut(cut(whole, tmp_path / "small", kept), whole) == -1).all()


def test_a_tokenizer_of_other_pieces_or_settings_has_no_ids_of_the_table(
    whole, xlmr_tokenizer_folder, tmp_path
):
    small = cut(whole, tmp_path / "small", chosen(whole, 0))
    assert (token_table.of_cut(small, whole) >= 0).any()
    settings = json.loads((small / TOKENIZER_CONFIG).read_text())
    (small / TOKENIZER_CONFIG).write_text(json.dumps({**settings, "truncation_side": "left"}))
    assert (token_table.of_cut(small, whole) == -1).all()
    other = Path(shutil.copytree(xlmr_tokenizer_folder, tmp_path / "other"))
    fields = json.loads((other / TOKENIZER).read_text())
    fields["model"]["vocab"][-1][1] -= 1.0
    (other / TOKENIZER).write_text(json.dumps(fields))
    assert (token_table.of_cut(other, whole) == -1).all()


def test_a_tokenizer_is_the_same_where_it_only_cuts_texts_elsewhere(whole, tmp_path):
    other = Path(shutil.copytree(whole, tmp_path / "other"))
    fields = json.loads((other / TOKENIZER).read_text())
    fields["truncation"] = {"direction": "Right", "max_length": 7, "strategy": "LongestFirst", "stride": 0}
    (other / TOKENIZER).write_text(json.dumps(fields))
    assert not token_table.same_tokenizer(other, whole)
    fields["truncation"]["max_length"] = 9
    (whole / TOKENIZER).write_text(json.dumps(fields))
    assert token_table.same_tokenizer(other, whole)
    settings = json.loads((other / TOKENIZER_CONFIG).read_text())
    (other / TOKENIZER_CONFIG).write_text(json.dumps({**settings, "model_max_length": 7}))
    assert token_table.same_tokenizer(other, whole)
    (other / TOKENIZER_CONFIG).write_text(json.dumps({**settings, "add_prefix_space": True}))
    assert not token_table.same_tokenizer(other, whole)
