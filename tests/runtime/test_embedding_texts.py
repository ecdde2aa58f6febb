"""Texts of embedding models: pairs are read one by one, with prompts in front."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from edgeroberta.errors import BundleError, UsageError
from edgeroberta.runtime.embedding_texts import EmbeddingTokenizer, reader
from edgeroberta.runtime.tokenizer import TextTokenizer
from edgeroberta.tasks import Problem, Task

TASK = Task(Problem.EMBEDDING, (), dimensions=32, pooling="mean")


@pytest.fixture
def folder(tokenizer_folder, tmp_path):
    return shutil.copytree(tokenizer_folder, tmp_path / "tokenizer")


def write_prompts(folder, **fields):
    (folder / "config_sentence_transformers.json").write_text(json.dumps(fields))


def test_the_texts_of_a_pair_are_read_one_by_one(folder):
    tokenizer, plain = EmbeddingTokenizer.open(folder, 32), TextTokenizer.open(folder, 32)
    one, pair = tokenizer.encode(["good film", ("good film", "bad plot")])
    assert not one.rest
    np.testing.assert_array_equal(pair.ids, plain.encode_one("good film").ids)
    np.testing.assert_array_equal(pair.rest[0].ids, plain.encode_one("bad plot").ids)
    again = tokenizer.encode_one(("good film", "bad plot"))
    np.testing.assert_array_equal(again.rest[0].ids, pair.rest[0].ids)
    assert [len(each.rest) for each in tokenizer.truncated(["a", ("a", "b")])] == [0, 1]


def test_a_pair_is_truncated_where_one_of_its_texts_is(folder):
    tokenizer = EmbeddingTokenizer.open(folder, 8)
    cut = tokenizer.encode_one(("a", "good film " * 20))
    assert cut.truncated
    assert len(cut.rest[0].ids) == 8
    with pytest.raises(UsageError, match="told to refuse"):
        EmbeddingTokenizer.open(folder, 8, long_text="refuse").encode(["a", ("a", "good film " * 20)])


def test_an_input_that_a_prompt_alone_makes_too_long_is_told_by_its_number(folder):
    write_prompts(folder, prompts={"query": "a film of "})
    longest = "good film " * 6
    tokens = len(TextTokenizer.open(folder, 64).encode_one(longest).ids)
    tokenizer = EmbeddingTokenizer.open(folder, tokens, long_text="refuse")
    inputs = [("a", "a"), ("a", longest)]
    assert len(tokenizer.encode(inputs)) == 2
    with pytest.raises(UsageError, match="told to refuse") as failure:
        tokenizer.encode(inputs, prompt="query")
    assert failure.value.where == "input 1"
    assert "windows" not in failure.value.hint


def test_windows_of_an_embedding_are_refused(folder):
    with pytest.raises(UsageError, match="text as a whole") as failure:
        EmbeddingTokenizer.open(folder, 32, long_text="windows")
    assert failure.value.code == "usage.embedding-windows"


def test_a_prompt_that_leaves_no_room_for_a_text_is_refused(folder):
    write_prompts(folder, prompts={"short": "query: ", "long": "word " * 40}, default_prompt_name="long")
    tokenizer = EmbeddingTokenizer.open(folder, 32)
    for ask in (
        lambda: tokenizer.encode_one("a"),
        lambda: tokenizer.encode(["a", ("a", "b")], prompt=("short", "long")),
        lambda: tokenizer.truncated(["a"]),
    ):
        with pytest.raises(UsageError, match="'long' fills the 32 tokens") as caught:
            ask()
        assert caught.value.code == "usage.prompt-too-long"
    assert len(tokenizer.encode_one("a", prompt="").ids) < len(tokenizer.encode_one("a", prompt="short").ids)


@pytest.mark.parametrize("threads", [None, 1])
def test_prompts_stand_in_front_of_texts_once(folder, threads):
    write_prompts(folder, prompts={"query": "query: ", "passage": "passage: "}, default_prompt_name="query")
    tokenizer = EmbeddingTokenizer.open(folder, 32, threads=threads)
    plain = TextTokenizer.open(folder, 32)

    def ids(text):
        return plain.encode_one(text).ids.tolist()

    assert tokenizer.encode_one("film").ids.tolist() == ids("query: film")
    assert tokenizer.encode_one("film", prompt="passage").ids.tolist() == ids("passage: film")
    assert tokenizer.encode_one("film", prompt="").ids.tolist() == ids("film")
    assert [each.ids.tolist() for each in tokenizer.encode(["film", "plot"])] == [
        ids("query: film"),
        ids("query: plot"),
    ]
    both = tokenizer.encode([("a", "b")], prompt=("query", "passage"))[0]
    assert (both.ids.tolist(), both.rest[0].ids.tolist()) == (ids("query: a"), ids("passage: b"))


def test_a_prompt_that_the_model_does_not_have_is_refused(folder):
    with pytest.raises(UsageError, match="no prompt 'query'") as none:
        EmbeddingTokenizer.open(folder, 32).encode(["a"], prompt="query")
    assert "none at all" in str(none.value.hint)
    write_prompts(folder, prompts={"query": "query: "})
    with pytest.raises(UsageError) as other:
        EmbeddingTokenizer.open(folder, 32).encode_one("a", prompt="quary")
    assert (other.value.code, other.value.where) == ("usage.prompt-unknown", "prompt")
    assert "did you mean 'query'" in str(other.value.hint)


@pytest.mark.parametrize(
    "fields",
    [{"prompts": ["query: "]}, {"prompts": {"query": 1}}, {"prompts": {}, "default_prompt_name": "query"}],
)
def test_damaged_prompts_are_refused(folder, fields):
    write_prompts(folder, **fields)
    with pytest.raises(BundleError) as failure:
        EmbeddingTokenizer.open(folder, 32)
    assert "config_sentence_transformers.json" in str(failure.value.where)


def test_the_input_that_is_wrong_is_named(folder):
    tokenizer = EmbeddingTokenizer.open(folder, 32)
    with pytest.raises(UsageError) as failure:
        tokenizer.encode(["a", ("b", "c"), ("d", "\ud800")])
    assert failure.value.where == "input 2"
    with pytest.raises(UsageError, match="tuple of two"):
        tokenizer.encode([("a", "b", "c")])
    with pytest.raises(UsageError, match="tuple of two"):
        tokenizer.encode_one(("a", 3))


def test_other_tasks_read_pairs_as_they_did():
    assert reader(TASK) is EmbeddingTokenizer
    assert reader(Task(Problem.SINGLE_LABEL, ("a", "b"), True)) is TextTokenizer
