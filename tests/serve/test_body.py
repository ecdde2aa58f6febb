"""What ``POST /predict`` reads, and how it refuses the rest."""

from __future__ import annotations

import json

import pytest
from served import post

from edgeroberta.runtime import Problem, Runtime
from edgeroberta.serve import body

FORMS = '{"text": "…"} or {"texts": ["…", "…"]}'


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        (b"", "malformed-body", "body"),
        (b"{", "malformed-body", "body"),
        (b'{"text": "a"} x', "malformed-body", "body"),
        (b"[" * 100_000, "malformed-body", "body"),
        (b'{"text": ' + b"1" * 5000 + b"}", "malformed-body", "body"),
        (b'{"text": "\xff"}', "malformed-body", "body"),
        ('{"text": "a"}'.encode("utf-16"), "malformed-body", "body"),
        (b'"a"', "wrong-type", "body"),
        (b"null", "wrong-type", "body"),
        (b"{}", "missing-field", "text"),
        (b'{"txt": "a"}', "unknown-field", "txt"),
        (b'{"\\ud800": "a"}', "unknown-field", "\\ud800"),
        (b'{"text": 1}', "wrong-type", "text"),
        (b'{"text": null}', "wrong-type", "text"),
        (b'{"text": true}', "wrong-type", "text"),
        (b'{"text": ["a"]}', "wrong-type", "text"),
        (b'{"text": "a", "text_pair": "b"}', "wrong-type", "text"),
        (b'{"text": "a", "texts": ["b"]}', "conflicting-fields", "texts"),
        (b'{"texts": "a"}', "wrong-type", "texts"),
        (b'{"texts": []}', "wrong-type", "texts"),
        (b'{"texts": ["a", 1]}', "wrong-type", "texts[1]"),
        (b'{"texts": ["a", ["b", "c"]]}', "wrong-type", "texts[1]"),
        (b'{"texts": [{"text": "a", "x": 1}]}', "unknown-field", "texts[0].x"),
        (b'{"texts": [{}]}', "missing-field", "texts[0].text"),
        (b'{"text": "\\ud800"}', "invalid-text", "text"),
        (b'{"texts": ["a", "bc\\udfff"]}', "invalid-text", "texts[1]"),
    ],
)
def test_a_malformed_body_is_refused_and_the_connection_stays(shared, body, code, where):
    with shared.client() as client:
        client.send(post(body))
        reply = client.reply()
        assert (reply.status, reply.error["code"], reply.error["where"]) == (400, code, where)
        client.send(post({"text": "a"}))
        assert client.reply().status == 200


@pytest.mark.parametrize(
    ("body", "code", "message", "where", "hint"),
    [
        (b'{"text": true}', "wrong-type", "a text is wanted, not true or false", "text", FORMS),
        (b'{"txt": "a"}', "unknown-field", "there is no such field", "txt", "did you mean 'text'?"),
        (b'{"text": "\xff"}', "malformed-body", "not UTF-8 (byte 10)", "body", None),
        (b'{"text": "\\udfff"}', "invalid-text", "lone surrogate U+DFFF", "text", "replace such characters"),
    ],
)
def test_an_error_says_what_and_where_and_what_is_wanted(shared, body, code, message, where, hint):
    error = shared.ask(post(body)).error
    assert error.pop("message").startswith(message)
    assert error == {"code": code, "where": where, "hint": hint}


def test_a_name_of_megabytes_is_compared_with_nothing(shared, monkeypatch):
    monkeypatch.setattr(body, "did_you_mean", lambda name, known: pytest.fail("compared"))
    reply = shared.ask(post({"text" * 200_000: "a"}))
    assert (reply.status, reply.error["where"]) == (400, "text" * 10)


def test_too_many_texts_are_refused(shared):
    assert shared.ask(post({"texts": ["a"] * 32})).status == 200
    reply = shared.ask(post({"texts": ["a"] * 33}))
    assert (reply.status, reply.error["code"]) == (413, "too-many-texts")
    assert reply.error["message"] == "33 texts, where at most 32 are taken at once"


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
    ("body", "code", "where"),
    [
        ({"text": "a"}, "missing-field", "text_pair"),
        ({"text_pair": "a"}, "missing-field", "text"),
        ({"texts": ["a"]}, "wrong-type", "texts[0]"),
        ({"texts": [["a"]]}, "wrong-type", "texts[0]"),
        ({"texts": [["a", "\ud800"]]}, "invalid-text", "texts[0]"),
    ],
)
def test_a_model_of_pairs_refuses_what_is_not_one(start, body, code, where):
    reply = start(Runtime.fake(pair=True)).ask(post(json.dumps(body).encode()))
    assert (reply.status, reply.error["code"], reply.error["where"]) == (400, code, where)


def test_questions_are_read_in_each_form(start):
    runtime = Runtime.fake(problem=Problem.SPANS, answers={("Where?", "In Paris."): "Paris"})
    server = start(runtime)
    asked = {"question": "Where?", "context": "In Paris."}
    for form in (asked, {"questions": [asked]}, {"questions": [["Where?", "In Paris."]]}):
        answer = server.ask(post(form)).json["predictions"][0]
        assert answer["input"] == asked
        assert (answer["answer"], answer["start"], answer["end"]) == ("Paris", 3, 8)
        assert answer["answers"][0]["text"] == "Paris"
    assert (
        server.ask(post({"question": "Who?", "context": "In Paris."})).json["predictions"][0]["answer"]
        is None
    )


@pytest.mark.parametrize(
    ("body", "status", "code", "where"),
    [
        ({"question": "a"}, 400, "missing-field", "context"),
        ({"text": "a"}, 400, "unknown-field", "text"),
        ({"question": "a", "context": 5}, 400, "wrong-type", "context"),
        ({"questions": [{"question": None, "context": "b"}]}, 400, "wrong-type", "questions[0].question"),
        ({"questions": ["a"]}, 400, "wrong-type", "questions[0]"),
        ({"questions": []}, 400, "wrong-type", "questions"),
        ({"questions": [["a", "b"]] * 33}, 413, "too-many-questions", "questions"),
        ({"question": "a", "context": "b", "questions": []}, 400, "conflicting-fields", "questions"),
        ({"question": "a", "context": " "}, 400, "invalid-text", None),
    ],
)
def test_a_model_of_questions_refuses_what_is_none(start, body, status, code, where):
    reply = start(Runtime.fake(problem=Problem.SPANS)).ask(post(json.dumps(body).encode()))
    assert (reply.status, reply.error["code"], reply.error.get("where")) == (status, code, where)


def test_a_field_of_another_form_is_answered_with_the_form_and_not_taken_for_a_misspelt_one(start):
    server = start(Runtime.fake(problem=Problem.SPANS))
    assert server.ask(post({"text": "a"})).error["hint"].startswith('{"question": "…", "context": "…"} or')
    assert server.ask(post({"contxt": "a"})).error["hint"] == "did you mean 'context'?"
