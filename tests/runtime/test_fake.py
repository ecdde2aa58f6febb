from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from edgeroberta.errors import UsageError
from edgeroberta.runtime import Problem, Runtime


def test_a_fake_answers_from_its_table():
    runtime = Runtime.fake(answers={"great film": "positive"})
    assert runtime("great film").label == "positive"
    assert runtime("great film").score > 0.95
    assert runtime("anything else").label == "negative"
    assert [answer.label for answer in runtime(["x", "great film"])] == ["negative", "positive"]


def test_a_fake_takes_logits():
    runtime = Runtime.fake(("a", "b", "c"), {"x": {"a": 1.0, "c": 1.5}})
    assert runtime.logits(["x"]).tolist() == [[1.0, -4.0, 1.5]]
    assert runtime("x").label == "c"


def test_a_fake_has_pairs():
    runtime = Runtime.fake(("no", "yes"), {("a", "b"): "yes"}, pair=True)
    assert runtime(("a", "b")).label == "yes"
    assert runtime([("a", "b"), ("b", "a")])[1].label == "no"
    with pytest.raises(UsageError, match="this model takes pairs"):
        runtime("a")


def test_a_fake_has_several_labels_or_none():
    runtime = Runtime.fake(("a", "b", "c"), {"x": ("a", "c")}, problem=Problem.MULTI_LABEL)
    assert runtime("x").labels == ("a", "c")
    assert runtime("y").labels == ()


def test_a_fake_has_values():
    runtime = Runtime.fake(("score",), {"x": 2.5}, problem=Problem.REGRESSION)
    assert runtime("x").score == 2.5
    assert runtime("y").score == 0.0


def test_a_fake_flags_long_texts_and_names_its_engine():
    runtime = Runtime.fake()
    assert runtime("word " * 600).truncated
    assert not runtime("word").truncated
    assert (runtime.engine, runtime.manifest, runtime.labels) == ("fake", None, ("negative", "positive"))
    assert repr(runtime) == "<Runtime fake on fake 0, single_label_classification>"


def test_a_fake_refuses_unknown_labels():
    with pytest.raises(UsageError) as caught:
        Runtime.fake(answers={"x": "positve"})
    assert str(caught.value) == (
        "answers: there is no label 'positve' (labels: negative, positive)\n  next: did you mean 'positive'?"
    )


def test_a_fake_finds_entities_where_they_are_said_to_be():
    text = "Mail bob@x.org, 😀 Ann!"
    entities = [("EMAIL", 5, 14), ("PERSON", 18, 21)]
    runtime = Runtime.fake(("EMAIL", "PERSON"), {text: entities}, problem=Problem.TOKENS)
    assert runtime.labels == ("O", "B-EMAIL", "I-EMAIL", "B-PERSON", "I-PERSON")
    found = runtime(text)
    assert [(each.label, each.start, each.end) for each in found.entities] == entities
    assert [each.text for each in found.entities] == ["bob@x.org", "Ann"]
    assert all(each.score > 0.9 for each in found.entities)
    assert (found.truncated, found.windows) == (False, 1)
    assert runtime(["", "x", text]) == [runtime(""), runtime("x"), found]
    assert runtime("").entities == runtime("x").entities == ()
    assert runtime.outputs([text]).places.shape == (len(text) + 2, 3)


@pytest.mark.parametrize(
    "labels",
    [
        ("O", "X"),
        ("O", "I-X"),
        ("O", "B-X", "I-X"),
        ("B-X", "I-X", "O"),
        ("O", "B-X", "I-X", "E-X", "S-X"),
        ("O", "B-X", "I-X", "L-X", "U-X"),
        ("X",),
    ],
)
@pytest.mark.parametrize("aggregation", ["first", "simple", "average", "max"])
def test_a_fake_finds_entities_in_any_scheme(labels, aggregation):
    from dataclasses import replace

    runtime = Runtime.fake(labels, {"abcdef": [("X", 0, 1), ("X", 2, 6)]}, problem=Problem.TOKENS)
    runtime.task = replace(runtime.task, aggregation=aggregation)
    assert [(each.start, each.end) for each in runtime("abcdef").entities] == [(0, 1), (2, 6)]


@pytest.mark.parametrize(
    ("entity", "what"),
    [
        (("Y", 0, 1), "there is no label 'Y' (labels: X)"),
        (("X", 1, 1), "an entity from 1 to 1, where the text has 3 characters"),
        (("X", 2, 4), "an entity from 2 to 4, where the text has 3 characters"),
        (("X", -1, 2), "an entity from -1 to 2, where the text has 3 characters"),
    ],
)
def test_a_fake_refuses_entities_that_cannot_be(entity, what):
    with pytest.raises(UsageError) as caught:
        Runtime.fake(("X",), {"abc": [entity]}, problem=Problem.TOKENS)
    assert (caught.value.what, caught.value.where, caught.value.code) == (what, "answers", "usage")


def test_logits_of_tokens_are_refused_where_nobody_could_tell_whose_they_are():
    runtime = Runtime.fake(("X",), problem=Problem.TOKENS)
    with pytest.raises(UsageError, match="this model gives logits for each token") as caught:
        runtime.logits(["a", "bc"])
    assert str(caught.value.hint).startswith("Runtime.outputs(texts).part(0)")
    assert runtime.outputs(["a", "bc"]).lengths.tolist() == [3, 4]


@pytest.mark.parametrize("entities", ["X", ["X"], [("X", 0)], [("X", 0, 1, 0.9)]])
def test_a_fake_says_how_entities_are_written(entities):
    with pytest.raises(UsageError, match="is no list of entities"):
        Runtime.fake(("X",), {"abc": entities}, problem=Problem.TOKENS)


def test_a_fake_that_fills_masks_answers_many_threads_at_once():
    runtime = Runtime.fake(problem=Problem.MASKED)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda number: runtime(f"t{number} <mask> is x{number}."), range(600)))
    finally:
        sys.setswitchinterval(before)
    for number, answer in enumerate(found):
        assert answer.masks[0][0].sequence == f"t{number} something is x{number}."
