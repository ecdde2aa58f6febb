from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.roberta import bpe_training
from edgeroberta.runtime.tokenizer import TextTokenizer

WORDS = ["film", "films", "filming", "wonder", "wonderful", "terrible", "电影", "naïve", "\U0001f3ac", "it's"]
RANDOM = random.Random(0)
TEXTS = [" ".join(RANDOM.choices(WORDS, k=9)) for _ in range(200)]
CHUNKS = [TEXTS[:1], TEXTS[1:150], TEXTS[150:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("tokenizer")
    bpe_training.write(bpe_training.train(CHUNKS, size=300, min_frequency=2), made, max_length=512)
    return made


def test_special_tokens_have_roberta_ids_and_the_mask_the_last(folder):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(vocabulary) == 300
    assert sorted(vocabulary.values()) == list(range(300))
    ids = {piece: vocabulary[piece] for piece in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")}
    assert ids == {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 299}


def test_words_that_are_frequent_are_one_token_and_all_texts_come_back(folder):
    tokenizer = TextTokenizer.open(folder, 512)
    assert len(tokenizer.encode_one("wonderful film").ids) == 2 + 2 + 1  # "wonderful" begins a text
    texts = [*TEXTS, "unheard-of: \u0444\u0438\u043b\u044c\u043c\x00\ufeff", "  two  spaces\n", ""]
    for text in texts:
        ids = tokenizer.encode_one(text).ids
        assert (ids[0], ids[-1]) == (0, 2)
        assert tokenizer.decode(ids.tolist(), skip_special_tokens=True) == text
    assert tokenizer.encode_one("a <mask>.").ids.tolist().count(299) == 1
    pair = tokenizer.encode_one(("a", "b")).ids
    assert [pair[0], pair[2], pair[3], pair[5]] == [0, 2, 2, 2]


def test_transformers_reads_the_same_ids(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ours = TextTokenizer.open(folder, 512)
    texts = [*TEXTS[:20], "unheard-of <mask>, </s>", " <mask>", "电影\n\n"]
    assert tokenizer(texts)["input_ids"] == [one.ids.tolist() for one in ours.encode(texts)]
    assert len(tokenizer) == 300
    special = [tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id]
    assert [*special, tokenizer.unk_token_id, tokenizer.mask_token_id] == [0, 1, 2, 3, 299]


def test_the_same_texts_in_any_chunks_and_threads_give_the_same_merges(tmp_path):
    fields = bpe_training.train([TEXTS], size=300, min_frequency=2)
    assert fields == bpe_training.train(CHUNKS, size=300, min_frequency=2)
    code = (
        "import json, sys; from edgeroberta.roberta import bpe_training;"
        "print(json.dumps(bpe_training.train([json.load(sys.stdin)], size=300, min_frequency=2)))"
    )
    for threads in ("true", "false"):
        done = subprocess.run(
            [sys.executable, "-c", code], input=json.dumps(TEXTS), capture_output=True, text=True, check=True,
            env={**os.environ, "TOKENIZERS_PARALLELISM": threads},
        )  # fmt: skip
        assert json.loads(done.stdout) == fields


def test_more_tokens_than_the_texts_have_pairs_for_are_refused():
    with pytest.raises(UsageError) as caught:
        bpe_training.train([["aa aa", "b"]], size=300, min_frequency=2)
    # "aa", and " aa" only once
    assert caught.value.what == (
        "these texts give 262 tokens, not 300: no other pair of tokens occurs 2 times"
    )
    assert caught.value.hint == "size: 262; or give more texts"


def test_texts_are_read_as_a_stream():
    alive: list[int] = []

    def chunks():
        for number in range(50):
            alive.append(number)
            yield ["aa aa bb"]

    fields = bpe_training.train(chunks(), size=263, min_frequency=2)
    assert alive == list(range(50))
    assert fields["model"]["merges"][0] in (["a", "a"], "a a")


def test_a_vocabulary_of_bytes_alone_is_the_smallest():
    fields = bpe_training.train([["aa aa"]], size=bpe_training.SMALLEST, min_frequency=1)
    assert fields["model"]["merges"] == []
