from __future__ import annotations

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
