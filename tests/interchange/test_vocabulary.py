"""Cut tokenizers load as any other does, under this environment's transformers and under 4.57.

Run with ``EDGEROBERTA_TRANSFORMERS_4=/path/to/python``, an interpreter that has transformers 4.57.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgeroberta.roberta import corpus, token_selection, vocabulary_cut
from edgeroberta.roberta.tokenizerfile import TokenizerFile
from edgeroberta.runtime.tokenizer import TextTokenizer

OLDER = os.environ.get("EDGEROBERTA_TRANSFORMERS_4")
TEXTS = [
    "The film is great.", "naïve \U0001f3ac 日本", "", "  two  spaces ", "unexpectedly <mask> tender",
    "a\r\nb",
]  # fmt: skip
ENCODE = (
    "import json, sys; from transformers import AutoTokenizer; "
    "t = AutoTokenizer.from_pretrained(sys.argv[1], use_fast=True); texts = json.load(sys.stdin); "
    "print(json.dumps([[t(x)['input_ids'] for x in texts], t('a', 'film')['input_ids'], "
    "[t.cls_token_id, t.pad_token_id, t.sep_token_id, t.unk_token_id, t.mask_token_id]]))"
)


def check(python: str, source: Path, folder: Path) -> None:
    file = TokenizerFile.read(source / "tokenizer.json")
    rows = max(file.pieces) + 1
    counts = corpus.count(source, [["The film is great.", "The story is dull"]], rows)
    kept = token_selection.choose(
        file,
        counts,
        limits=token_selection.VocabularyLimits(keep=0),
        prior=-token_selection.ranks(file, rows),
    )
    vocabulary_cut.write_tokenizer(file, folder, kept)
    done = subprocess.run(
        [python, "-c", ENCODE, str(folder)],
        input=json.dumps(TEXTS), env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    singles, pair, special = json.loads(done.stdout)
    tokenizer = TextTokenizer.open(folder, 512)
    assert singles == [one.ids.tolist() for one in tokenizer.encode(TEXTS)]
    assert pair == tokenizer.encode_one(("a", "film")).ids.tolist()
    bert = "[CLS]" in file.ids
    names = ["[CLS]", "[PAD]", "[SEP]", "[UNK]"] if bert else ["<s>", "<pad>", "</s>", "<unk>"]
    assert kept[special].tolist() == [file.ids[each] for each in (*names, "[MASK]" if bert else "<mask>")]
    assert np.all(kept[:4] == np.arange(4))


@pytest.mark.parametrize("name", ["tokenizer_folder", "xlmr_tokenizer_folder", "bert_tokenizer_folder"])
def test_cut_tokenizers_load_here(name, request, tmp_path):
    check(sys.executable, request.getfixturevalue(name), tmp_path)


@pytest.mark.interchange
@pytest.mark.slow
@pytest.mark.skipif(OLDER is None, reason="EDGEROBERTA_TRANSFORMERS_4 names no interpreter")
@pytest.mark.parametrize("name", ["tokenizer_folder", "xlmr_tokenizer_folder", "bert_tokenizer_folder"])
def test_cut_tokenizers_load_under_older_transformers(name, request, tmp_path):
    check(str(OLDER), request.getfixturevalue(name), tmp_path)
