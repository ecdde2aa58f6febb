"""Embeddings from a bundle: texts, pairs, prompts, and what is refused; and a fake's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Embedding, Problem, Runtime, Similarity
from edgeroberta.runtime.answers import to_json

TEXTS = ["good film", "bad plot", "the music was far too loud for so small a room"]


@pytest.fixture(scope="module")
def make_runtime(make_bundle, make_embedder, tmp_path_factory):
    """A function that opens a bundle of an embedding model."""

    def make(pooling="mean", normalize=True, similarity=None, prompts=None, default=None, **options):
        model = make_embedder(pooling, normalize, similarity)
        settings = {"prompts": prompts or {}, "default_prompt_name": default}
        if prompts:
            modules = [
                {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
                for n, (path, kind) in enumerate(
                    [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
                )
            ]
            (model / "modules.json").write_text(json.dumps(modules))
            (model / "1_Pooling").mkdir()
            pooled = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
            (model / "1_Pooling" / "config.json").write_text(json.dumps(pooled))
            (model / "config_sentence_transformers.json").write_text(json.dumps(settings))
        return Runtime.open(make_bundle(model), **options)

    return make


@pytest.fixture(scope="module")
def runtime(make_runtime):
    with make_runtime() as opened:
        yield opened


def cosine(a, b):
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_text_gives_its_embedding_alone_and_among_others(runtime):
    one = runtime(TEXTS[0])
    assert isinstance(one, Embedding)
    assert (one.embedding.shape, one.embedding.dtype, one.truncated) == ((32,), np.float32, False)
    assert np.linalg.norm(one.embedding) == pytest.approx(1, abs=1e-5)
    for alone, among in zip(map(runtime, TEXTS), runtime(TEXTS), strict=True):
        np.testing.assert_allclose(alone.embedding, among.embedding, atol=1e-6)
    np.testing.assert_allclose(runtime.logits(TEXTS)[0], one.embedding, atol=1e-6)


def test_a_pair_gives_both_embeddings_and_how_alike_they_are(runtime):
    pair = runtime((TEXTS[0], TEXTS[1]))
    assert isinstance(pair, Similarity)
    first, second = (runtime(text).embedding for text in TEXTS[:2])
    np.testing.assert_allclose(pair.embeddings[0], first, atol=1e-6)
    np.testing.assert_allclose(pair.embeddings[1], second, atol=1e-6)
    assert pair.similarity == pytest.approx(cosine(first, second), abs=1e-5)
    mixed = runtime([TEXTS[2], (TEXTS[0], TEXTS[1])])
    assert [type(each) for each in mixed] == [Embedding, Similarity]
    assert mixed[1].similarity == pytest.approx(pair.similarity, abs=1e-5)
    assert runtime.outputs([TEXTS[2], (TEXTS[0], TEXTS[1])]).lengths.tolist() == [1, 2]


def test_a_similarity_is_the_one_that_the_model_was_made_for(make_runtime):
    with make_runtime("max", False, "euclidean") as runtime:
        pair = runtime((TEXTS[0], TEXTS[1]))
        first, second = pair.embeddings
        assert pair.similarity == pytest.approx(-np.linalg.norm(first - second), rel=1e-5)
        assert np.linalg.norm(first) > 1.5


def test_prompts_are_named_and_the_default_is_put_in_front(make_runtime):
    prompts = {"query": "bad plot ", "passage": "good "}
    with make_runtime(prompts=prompts, default="query") as runtime:
        assert runtime.prompts == prompts
        plain = runtime("bad plot film", prompt="").embedding
        np.testing.assert_allclose(runtime("film").embedding, plain, atol=1e-6)
        np.testing.assert_allclose(runtime(["film"])[0].embedding, plain, atol=1e-6)
        other = runtime("film", prompt="passage").embedding
        np.testing.assert_allclose(other, runtime("good film", prompt="").embedding, atol=1e-6)
        pair = runtime(("film", "film"), prompt=("query", "passage"))
        np.testing.assert_allclose(pair.embeddings[1], other, atol=1e-6)
        assert pair.similarity < 0.999
        with pytest.raises(UsageError) as failure:
            runtime("film", prompt="document")
        assert failure.value.code == "usage.prompt-unknown"


def test_a_prompt_of_another_model_is_refused(tiny_bundle):
    with Runtime.open(tiny_bundle) as classifier:
        assert classifier.prompts == {}
        with pytest.raises(UsageError, match="makes no embeddings") as failure:
            classifier("good film", prompt="query")
        assert failure.value.code == "usage.prompt-unknown"


def test_long_texts_are_cut_or_refused_but_not_read_in_windows(make_runtime):
    long = "good film " * 600
    with make_runtime() as runtime:
        assert runtime(long).truncated
        assert runtime(("good", long)).truncated
    with pytest.raises(UsageError) as windows:
        make_runtime(long_text="windows")
    assert windows.value.code == "usage.embedding-windows"
    with make_runtime(long_text="refuse") as runtime, pytest.raises(UsageError) as refused:
        runtime(["good", long])
    assert (refused.value.code, refused.value.where) == ("usage.text-too-long", "input 1")


@pytest.mark.parametrize("item", [3, ("a", "b", "c"), ("a", 1), None])
def test_what_is_no_text_is_refused(runtime, item):
    with pytest.raises(UsageError):
        runtime([item])


def test_predictions_are_written_as_json(runtime):
    one = json.loads(json.dumps(to_json(TEXTS[0], runtime(TEXTS[0]))))
    assert sorted(one) == ["embedding", "input", "truncated", "windows"]
    np.testing.assert_allclose(one["embedding"], runtime(TEXTS[0]).embedding, atol=1e-7)
    pair = json.loads(json.dumps(to_json(tuple(TEXTS[:2]), runtime(tuple(TEXTS[:2])))))
    assert sorted(pair) == ["embeddings", "input", "similarity", "truncated", "windows"]
    assert len(pair["embeddings"]) == 2


def test_a_fake_gives_the_vectors_of_its_table():
    fake = Runtime.fake(problem=Problem.EMBEDDING, answers={"a": [1, 0, 0], "b": [0, 1, 0], "c": [1, 1, 0]})
    assert fake("a").embedding.tolist() == [1, 0, 0]
    assert fake(("a", "b")).similarity == 0
    assert fake([("a", "c"), "b"])[0].similarity == pytest.approx(2**-0.5)
    other = fake("another").embedding
    assert other.tolist() == fake("another").embedding.tolist() != fake("yet another").embedding.tolist()
    assert fake("a", prompt="query").embedding.tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    "answers", [{"a": "positive"}, {"a": []}, {("a", "b"): [1]}, {"a": [1], "b": [1, 2]}]
)
def test_a_fake_refuses_what_is_no_vector_of_a_text(answers):
    with pytest.raises(UsageError):
        Runtime.fake(problem=Problem.EMBEDDING, answers=answers)
