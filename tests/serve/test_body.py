"""What ``POST /predict`` reads, and in which words it refuses the rest."""

from __future__ import annotations

import json

import pytest
from served import post

from edgeroberta.runtime import Runtime
from edgeroberta.serve import body

ONE, TWO = "a text is wanted, not ", "two texts are wanted, not "


@pytest.mark.parametrize(
    ("body", "what", "where"),
    [
        (b"", "not JSON", "body"),
        (b"{", "not JSON", "body"),
        (b'{"text": "a"} x', "not JSON", "body"),
        (b"[" * 100_000, "not JSON", "body"),
        (b'{"text": ' + b"1" * 5000 + b"}", "not JSON", "body"),
        (b'{"text": "\xff"}', "not UTF-8 (byte 10)", "body"),
        ('{"text": "a"}'.encode("utf-16"), "not UTF-8 (byte 0)", "body"),
        (b'"a"', "a JSON object is wanted, not a text", "body"),
        (b"null", "a JSON object is wanted, not null", "body"),
        (b"{}", "the field is missing", "text"),
        (b'{"txt": "a"}', "there is no such field", "txt"),
        (b'{"\\ud800": "a"}', "there is no such field", "\\ud800"),
        (b'{"text": 1}', ONE + "a number", "text"),
        (b'{"text": null}', ONE + "null", "text"),
        (b'{"text": true}', ONE + "true or false", "text"),
        (b'{"text": ["a"]}', ONE + "a list", "text"),
        (b'{"text": "a", "text_pair": "b"}', ONE + "two texts", "text"),
        (b'{"text": "a", "texts": ["b"]}', "either this or text, not both", "texts"),
        (b'{"texts": "a"}', "a list of texts is wanted, not a text", "texts"),
        (b'{"texts": []}', "a list of texts is wanted, not an empty list", "texts"),
        (b'{"texts": ["a", 1]}', ONE + "a number", "texts[1]"),
        (b'{"texts": ["a", ["b", "c"]]}', ONE + "two texts", "texts[1]"),
        (b'{"texts": [{"text": "a", "x": 1}]}', "there is no such field", "texts[0].x"),
        (b'{"texts": [{}]}', "the field is missing", "texts[0].text"),
        (b'{"text": "\\ud800"}', "lone surrogate U+D800 at character 0", "text"),
        (b'{"texts": ["a", "bc\\udfff"]}', "lone surrogate U+DFFF at character 2", "texts[1]"),
    ],
)
def test_a_malformed_body_is_refused_and_the_connection_stays(start, body, what, where):
    with start().client() as client:
        client.send(post(body))
        reply = client.reply()
        assert reply.status == 400
        assert what in reply.error["what"]
        assert reply.error["where"] == where
        client.send(post({"text": "a"}))
        assert client.reply().status == 200


def test_a_near_field_is_suggested(start):
    assert start().ask(post({"txt": "a"})).error["hint"] == "did you mean 'text'?"


def test_a_name_of_megabytes_is_compared_with_nothing(start, monkeypatch):
    monkeypatch.setattr(body, "did_you_mean", lambda name, known: pytest.fail("compared"))
    reply = start().ask(post({"text" * 200_000: "a"}))
    assert (reply.status, reply.error["where"]) == (400, "text" * 10)


def test_too_many_texts_are_refused(start):
    server = start(max_batch=2)
    assert server.ask(post({"texts": ["a", "b"]})).status == 200
    reply = server.ask(post({"texts": ["a", "b", "c"]}))
    assert reply.status == 413
    assert reply.error["what"] == "3 texts, where at most 2 are taken at once"


def test_pairs_are_read_in_each_form(start):
    server = start(Runtime.fake(pair=True, answers={("a", "b"): "positive"}))
    forms = [
        {"text": "a", "text_pair": "b"},
        {"texts": [["a", "b"]]},
        {"texts": [{"text": "a", "text_pair": "b"}]},
    ]
    for form in forms:
        answer = server.ask(post(form)).json["predictions"][0]
        assert (answer["input"], answer["label"]) == (["a", "b"], "positive")


@pytest.mark.parametrize(
    ("body", "what", "where"),
    [
        ({"text": "a"}, "the field is missing", "text_pair"),
        ({"text_pair": "a"}, "the field is missing", "text"),
        ({"texts": ["a"]}, TWO + "a text", "texts[0]"),
        ({"texts": [["a"]]}, TWO + "a list", "texts[0]"),
        ({"texts": [["a", "\ud800"]]}, "lone surrogate", "texts[0]"),
    ],
)
def test_a_model_of_pairs_refuses_what_is_not_one(start, body, what, where):
    reply = start(Runtime.fake(pair=True)).ask(post(json.dumps(body).encode()))
    assert reply.status == 400
    assert what in reply.error["what"]
    assert reply.error["where"] == where
