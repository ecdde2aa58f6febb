"""Trained and extended tokenizers give the runtime's ids, under this environment's transformers and 4.57.

Run with ``EDGEROBERTA_TRANSFORMERS_4=/path/to/python``, an interpreter that has transformers 4.57.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeroberta.roberta import bpe_training, new_words, vocabulary_growth
from edgeroberta.roberta.new_words import WordReader
from edgeroberta.runtime.tokenizer import TextTokenizer

OLDER = os.environ.get("EDGEROBERTA_TRANSFORMERS_4")
TEXTS = [
    "The film is great.", "a case of myocarditis, (myocarditis)", "Myocarditis myocarditises",
    "naïveté 日本 \U0001f3ac", "", "  two  spaces ", "a <mask> naïveté, <mask>myocarditis", "a\r\nb </s> c",
    "x" * 300,
]  # fmt: skip
FOLDERS = ["tokenizer_folder", "xlmr_tokenizer_folder", "bert_tokenizer_folder"]
READ = (
    "import json, sys; from transformers import AutoTokenizer; "
    "t = AutoTokenizer.from_pretrained(sys.argv[1], use_fast=True); texts = json.load(sys.stdin); "
    "ids = [t(x)['input_ids'] for x in texts]; "
    "print(json.dumps([ids, t('a', 'film')['input_ids'], t.convert_tokens_to_ids([t.cls_token, t.pad_token, "
    "t.sep_token, t.unk_token, t.mask_token]), "
    "[t.decode(x, clean_up_tokenization_spaces=False) for x in ids]]))"
)


def check(python: str, folder: Path) -> None:
    done = subprocess.run(
        [python, "-c", READ, str(folder)],
        input=json.dumps(TEXTS), env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    singles, pair, special, texts = json.loads(done.stdout)
    tokenizer = TextTokenizer.open(folder, 512)
    assert singles == [one.ids.tolist() for one in tokenizer.encode(TEXTS)]
    assert pair == tokenizer.encode_one(("a", "film")).ids.tolist()
    ids = WordReader.open(folder / "tokenizer.json").file.ids
    bert = "[CLS]" in ids
    names = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"] if bert else ["<s>", "<pad>", "</s>", "<unk>"]
    assert special == [ids[each] for each in (*names, "[MASK]" if bert else "<mask>")]
    assert texts == [tokenizer.decode(each, skip_special_tokens=False) for each in singles]


def extended(source: Path, folder: Path) -> Path:
    reader = WordReader.open(source / "tokenizer.json")
    words = [reader.candidate(word, {}) for word in ("myocarditis", "naïveté", "film")]
    vocabulary_growth.write_tokenizer(reader, folder, new_words.distinct(words))
    return folder


def trained(folder: Path) -> Path:
    fields = bpe_training.train([[*TEXTS[:-1]] * 3], size=280, min_frequency=2)
    bpe_training.write(fields, folder, max_length=512)
    return folder


@pytest.mark.parametrize("name", FOLDERS)
def test_extended_tokenizers_load_here(name, request, tmp_path):
    check(sys.executable, extended(request.getfixturevalue(name), tmp_path))


def test_a_trained_tokenizer_loads_here(tmp_path):
    check(sys.executable, trained(tmp_path))


@pytest.mark.interchange
@pytest.mark.slow
@pytest.mark.skipif(OLDER is None, reason="EDGEROBERTA_TRANSFORMERS_4 names no interpreter")
@pytest.mark.parametrize("name", [*FOLDERS, None])
def test_they_load_under_older_transformers(name, request, tmp_path):
    check(
        str(OLDER), trained(tmp_path) if name is None else extended(request.getfixturevalue(name), tmp_path)
    )
