"""The runtime's tokens for the oddest inputs are those of Hugging Face's fast tokenizers."""

from __future__ import annotations

import odd_inputs
import pytest
from transformers import AutoTokenizer

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.runtime.tokenizer import TextTokenizer

MAX_LENGTH = 128


@pytest.fixture(scope="module", params=["tokenizer_folder", "xlmr_tokenizer_folder", "bert_tokenizer_folder"])
def both(request):
    folder = request.getfixturevalue(request.param)
    return TextTokenizer.open(folder, MAX_LENGTH), AutoTokenizer.from_pretrained(folder)


def test_there_are_forty_and_no_two_are_the_same():
    assert len(odd_inputs.TEXTS) == len(set(odd_inputs.TEXTS.values())) == 40


@pytest.mark.parametrize("name", [*odd_inputs.TEXTS, *odd_inputs.PADDED])
def test_an_odd_input_gets_the_ids_of_hugging_face(both, name):
    ours, theirs = both
    text = (odd_inputs.TEXTS | odd_inputs.PADDED)[name]
    found = ours.encode_one(text)
    assert found.ids.tolist() == theirs(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    assert found.truncated == (len(theirs(text)["input_ids"]) > MAX_LENGTH)


def test_odd_inputs_get_the_same_ids_in_a_list_as_alone(both):
    texts = list(odd_inputs.TEXTS.values())
    alone = [both[0].encode_one(text).ids.tolist() for text in texts]
    assert [one.ids.tolist() for one in both[0].encode(texts)] == alone


@pytest.mark.parametrize("name", odd_inputs.REFUSED)
def test_what_is_no_text_is_refused_with_the_place(both, name):
    text, what = odd_inputs.REFUSED[name]
    with pytest.raises(UsageError) as caught:
        both[0].encode_one(text)
    assert caught.value.what == what


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_every_odd_input_has_an_answer(tiny_bundle, engine):
    with Runtime.open(tiny_bundle, engine=engine) as runtime:
        for name, text in odd_inputs.TEXTS.items():
            assert runtime(text).label in runtime.labels, name


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_text_with_the_padding_token_is_refused_and_never_answered_otherwise(tiny_bundle, engine):
    what = "the padding token (id 1) is in the text, where this model has no answer"
    with Runtime.open(tiny_bundle, engine=engine) as runtime:
        for text in odd_inputs.PADDED.values():
            for ask, where in ((runtime, None), (lambda one: runtime(["a film", one]), "input 1")):
                with pytest.raises(UsageError) as caught:
                    ask(text)
                assert (caught.value.what, caught.value.where) == (what, where)
