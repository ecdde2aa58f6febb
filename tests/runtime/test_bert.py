"""A bundle of a BERT: pooler, two token types, WordPiece, Chinese."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.manifest import read

TEXTS = [
    "The film is great.",
    "这部电影很好看，音乐也不错。",
    "小明买了iPhone15，花了６９９９元",
    "",
    "good [SEP] film",
]
PAIRS = [("音乐不错", "故事太长，演员的表演让人失望！"), ("a", "The film [SEP] is dull " * 40), ("", "")]


@pytest.fixture(scope="module")
def single(make_bundle, tiny_bert_checkpoint):
    return make_bundle(tiny_bert_checkpoint, ("onnxruntime", "openvino"))


@pytest.fixture(scope="module")
def pair(make_bundle, tiny_bert_checkpoint):
    return make_bundle(tiny_bert_checkpoint, ("onnxruntime", "openvino"), pair=True)


def wanted(folder, inputs):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    found = []
    for item in inputs:
        # Lists, since of two texts alone that are both empty transformers 5 takes the second for none.
        texts = [[item]] if isinstance(item, str) else [[each] for each in item]
        with torch.inference_mode():
            batch = tokenizer(*texts, truncation=True, max_length=512, return_tensors="pt")
            found.append(model(**batch).logits[0].numpy())
    return np.stack(found)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_texts_and_pairs_are_answered_as_transformers_answers_them(
    engine, single, pair, tiny_bert_checkpoint
):
    for bundle, inputs in ((single, TEXTS), (pair, PAIRS)):
        with Runtime.open(bundle, engine=engine) as runtime:
            found = runtime.logits(inputs)
        np.testing.assert_allclose(found, wanted(tiny_bert_checkpoint, inputs), atol=1e-5)


def test_only_a_bundle_of_pairs_says_behind_which_token_the_second_text_begins(single, pair):
    assert (read(single).separator_id, read(pair).separator_id) == (None, 6)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_separator_is_refused_in_whichever_window_it_is(pair, engine):
    late = ("good " * 600 + "[SEP] film", "film")
    with Runtime.open(pair, engine=engine, long_text="windows") as runtime:
        for ask, where in ((lambda: runtime(late), None), (lambda: runtime([PAIRS[0], late]), "input 1")):
            with pytest.raises(UsageError) as caught:
                ask()
            assert (caught.value.code, caught.value.where) == ("usage.separator", where)
        # of the second text it is not the first one, wherever it stands
        assert runtime(("film", "good " * 600 + "[SEP] film")).windows > 1
    with Runtime.open(pair, engine=engine) as runtime:
        assert runtime(late).truncated  # cut off with the rest


def test_only_what_former_versions_answer_otherwise_is_of_a_schema_they_do_not_read(
    single, pair, make_bundle, make_checkpoint
):
    entities = make_bundle(make_checkpoint(("O", "B-X"), "token_classification", model_type="bert"))
    stated = [json.loads((one / "manifest.json").read_text()) for one in (single, pair, entities)]
    assert [one["schema_version"] for one in stated] == [3, 5, 5]


def test_a_first_text_that_holds_the_separator_is_refused(pair):
    with Runtime.open(pair) as runtime:
        for ask, where in (
            (lambda: runtime(("good [SEP] film", "b")), None),
            (lambda: runtime([PAIRS[0], ("[SEP]", "b")]), "input 1"),
            (lambda: runtime.logits([("good [SEP]" * 900, "b")]), "input 0"),
        ):
            with pytest.raises(UsageError) as caught:
                ask()
            assert "the first text of the pair holds the token that separates it" in caught.value.what
            assert (caught.value.code, caught.value.where) == ("usage.separator", where)
        assert runtime(("good", "[SEP] film [SEP]")).label in runtime.labels
