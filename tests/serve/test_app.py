"""What the paths answer, and what becomes of a request that has to wait."""

from __future__ import annotations

import json

import numpy as np
import pytest
import served
from served import get, post, wait_until

from edgeroberta.runtime import Problem, Runtime
from edgeroberta.serve.app import Service

LINGER = served.socket.SOL_SOCKET, served.socket.SO_LINGER


def test_one_text_and_several_are_answered_as_the_runtime_answers_them(start):
    server = start(Runtime.fake(answers={"great film": "positive"}))
    one = server.ask(post({"text": "great film"}))
    assert one.status == 200
    assert one.headers["content-type"] == "application/json"
    assert one.headers["cache-control"] == "no-store"
    found = one.json["predictions"][0]
    assert sorted(found) == ["input", "label", "labels", "score", "scores", "truncated", "windows"]
    assert (found["label"], found["truncated"]) == ("positive", False)
    answers = server.ask(post({"texts": ["bad", "great film", "word " * 600]})).json["predictions"]
    assert [answer["label"] for answer in answers] == ["negative", "positive", "negative"]
    assert answers[1] == found
    assert answers[2]["truncated"]
    assert server.metric("edgeroberta_texts_total") == 4
    assert server.metric("edgeroberta_truncated_total") == 1


def test_a_regression_and_several_labels_are_valid_json(start):
    number = start(Runtime.fake(("score",), {"a": 2.5}, problem=Problem.REGRESSION))
    answer = number.ask(post({"text": "a"})).json["predictions"][0]
    assert (answer["label"], answer["score"]) == (None, 2.5)
    several = start(Runtime.fake(("x", "y"), {"a": ("x", "y")}, problem=Problem.MULTI_LABEL))
    assert several.ask(post({"text": "a"})).json["predictions"][0]["labels"] == ["x", "y"]


def test_entities_are_answered_and_counted(start):
    answers = {"Ann met Bob.": [("PER", 0, 3), ("PER", 8, 11)]}
    server = start(Runtime.fake(("PER", "LOC"), answers, problem=Problem.TOKENS))
    reply = server.ask(post({"texts": ["Ann met Bob.", "nobody"]}))
    found, none = reply.json["predictions"]
    assert sorted(found) == ["entities", "input", "truncated", "windows"]
    first = found["entities"][0]
    assert (first["label"], first["start"], first["end"], first["text"]) == ("PER", 0, 3, "Ann")
    assert sorted(first) == ["end", "label", "score", "start", "text"]
    assert (none["entities"], none["truncated"], none["windows"]) == ([], False, 1)
    assert server.metric('edgeroberta_entities_total{label="PER"}') == 2
    error = server.ask(post({"text": "a", "text_pair": "b"}))
    assert (error.status, error.error["code"]) == (400, "wrong-type")


def test_long_texts_are_read_in_windows_or_refused_with_a_code(start, tiny_bundle):
    text = "word " * 600
    with Runtime.open(tiny_bundle, long_text="windows") as runtime:
        server = start(runtime)
        found = server.ask(post({"text": text})).json["predictions"][0]
        assert (found["truncated"], found["windows"]) == (False, runtime(text).windows)
        assert found["windows"] > 1
        assert server.metric("edgeroberta_windowed_total") == 1
        assert server.metric("edgeroberta_truncated_total") == 0
    with Runtime.open(tiny_bundle, long_text="refuse") as runtime:
        server = start(runtime)
        reply = server.ask(post({"texts": ["good", text]}))
        assert (reply.status, reply.error["code"], reply.error["where"]) == (413, "text-too-long", "input 1")
        assert "tokens, this model reads" in str(reply.error["message"])
        assert server.ask(post({"text": "good"})).status == 200


def test_answers_hold_what_json_can(shared):
    text = 'quotes " \\ \u2028 \x00 😀 </script>'
    reply = shared.ask(post({"text": text}))
    assert reply.json["predictions"][0]["input"] == text
    assert json.loads(reply.body.decode("utf-8"))["engine"] == "fake"


def test_health_says_what_answers(shared):
    reply = shared.ask(get("/health"))
    assert reply.status == 200
    assert reply.json == {
        "live": True, "ready": True, "status": "ready", "engine": "fake", "engine_version": "0", "bundle": "",
        "version": reply.json["version"],
    }  # fmt: skip


def test_head_is_get_without_a_body(shared):
    with shared.client() as client:
        client.send(get("/health", method="HEAD") + get("/health"))
        head = client.reply(head_only=True)
        assert head.status == 200
        assert int(head.headers["content-length"]) == len(client.reply().body)


def test_a_body_over_the_limit_is_refused_before_it_is_read(start):
    server = start(max_bytes=1000)
    with server.client() as client:
        client.send(post({"text": "a" * 5_000_000}))
        reply = client.reply()
        assert (reply.status, reply.error["code"]) == (413, "body-too-large")
        assert client.closed()
    assert server.ask(post({"text": "a" * 980})).status == 200


def test_a_client_that_waits_for_a_word_before_its_body_gets_one(shared):
    request = post({"text": "great film"}, "Expect: 100-continue")
    with shared.client() as client:
        client.send(request[:-22])
        assert client.reply().status == 100
        client.send(request[-22:])
        assert client.reply().status == 200
        client.send(get("/nothing", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert client.reply().status == 404
        assert client.closed()


def test_a_full_queue_turns_requests_away_and_recovers(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1, queue=2)
    clients = [server.client() for _ in range(3)]
    clients[0].send(post({"text": "0"}))
    wait_until(lambda: gate.reached == 1)
    for number in (1, 2):
        clients[number].send(post({"text": str(number)}))
    wait_until(lambda: server.metric("edgeroberta_queue_depth") == 2)
    assert server.metric("edgeroberta_in_flight") == 3
    reply = server.ask(post({"text": "3"}))
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "queue-full", "1")
    assert server.metric('edgeroberta_rejected_total{reason="queue"}') == 1
    gate.opened.set()
    for number, client in enumerate(clients):
        assert client.reply().json["predictions"][0]["input"] == str(number)
        client.close()
    assert server.ask(post({"text": "3"})).status == 200
    assert server.metric("edgeroberta_in_flight") == 0


@pytest.mark.parametrize("timeout", [0.02, 0.1])
def test_a_request_without_an_answer_in_time_is_504_and_its_answer_is_dropped(start, gated, timeout):
    runtime, gate = gated
    server = start(runtime, workers=1, timeout=timeout)
    with server.client() as client:
        client.send(post({"text": "late"}))
        reply = client.reply()
        assert (reply.status, reply.error["code"]) == (504, "answer-timeout")
        assert reply.error["message"] == f"no answer within {timeout:g} s"
        wait_until(lambda: server.ask(get("/health")).status != 200)  # its worker may have begun a bit later
        client.send(get("/health"))
        stuck = client.reply()
        assert (stuck.status, stuck.json["status"], stuck.json["live"]) == (503, "stuck", True)
        gate.opened.set()
        wait_until(lambda: server.ask(get("/health")).status == 200)
        client.send(post({"text": "next"}))
        assert client.reply().json["predictions"][0]["input"] == "next"
    assert server.metric("edgeroberta_abandoned_total") == 1
    assert server.metric("edgeroberta_in_flight") == 0


@pytest.mark.parametrize("reset", [True, False], ids=["reset", "closed"])
def test_the_request_of_a_client_that_left_gives_its_place_to_the_next_and_is_not_begun(start, gated, reset):
    runtime, gate = gated
    server = start(runtime, workers=1, queue=1)
    with server.client() as first, server.client() as third:
        first.send(post({"text": "first"}))
        wait_until(lambda: gate.reached == 1)
        with server.client() as second:
            second.send(post({"text": "second"}))
            wait_until(lambda: server.metric("edgeroberta_queue_depth") == 1)
            if reset:
                second.socket.setsockopt(*LINGER, b"\1\0\0\0" + b"\0" * 4)
        wait_until(lambda: server.metric("edgeroberta_queue_depth") == 0)
        assert server.metric("edgeroberta_abandoned_total") == 1
        third.send(post({"text": "third"}))
        wait_until(lambda: server.metric("edgeroberta_queue_depth") == 1)
        gate.opened.set()
        assert (first.reply().status, third.reply().status) == (200, 200)
    assert gate.reached == 2


def test_an_engine_that_fails_is_a_500_which_tells_nothing_of_the_text(start, caplog):
    runtime = Runtime.fake()
    original = runtime.session.run
    runtime.session.run = lambda *_: np.full((1, 2), np.nan, np.float32)
    server = start(runtime)
    reply = server.ask(post({"text": "secret words"}))
    assert (reply.status, reply.error["code"]) == (500, "engine-failed")
    assert "not finite" in caplog.text
    runtime.session.run = original
    assert server.ask(post({"text": "secret words"})).status == 200
    assert "secret" not in caplog.text


def test_a_mistake_of_the_server_itself_is_a_500_with_a_code(start, monkeypatch, caplog):
    monkeypatch.setattr(Service, "_answer", lambda *_: 1 / 0)
    reply = start().ask(post({"text": "secret words"}))
    assert (reply.status, reply.error["code"]) == (500, "internal-error")
    wait_until(lambda: "ZeroDivisionError" in caplog.text)
    assert "secret" not in caplog.text


def test_an_embedding_model_answers_texts_and_pairs(start):
    vectors = {"a plane": [0.6, 0.8], "an airplane": [0.8, 0.6]}
    server = start(Runtime.fake(problem=Problem.EMBEDDING, answers=vectors))
    one = server.ask(post({"text": "a plane", "prompt": "query"})).json["predictions"][0]
    assert one == {
        "input": "a plane",
        "embedding": pytest.approx([0.6, 0.8]),
        "truncated": False,
        "windows": 1,
    }
    both = ["a plane", "an airplane"]
    for body in ({"texts": ["a plane", both]}, {"text": both[0], "text_pair": both[1]}):
        found = server.ask(post(body)).json["predictions"][-1]
        assert found["similarity"] == pytest.approx(0.96)
        assert found["embeddings"] == [pytest.approx([0.6, 0.8]), pytest.approx([0.8, 0.6])]


@pytest.mark.parametrize(
    ("body", "code", "where"),
    [
        ({"text": "a", "prompt": 3}, "wrong-type", "prompt"),
        ({"texts": [["a", "b", "c"]]}, "wrong-type", "texts[0]"),
        ({"text_pair": "b"}, "missing-field", "text"),
        ({"text": "a", "promt": "query"}, "unknown-field", "promt"),
    ],
)
def test_a_body_that_an_embedding_model_does_not_take_is_refused(start, body, code, where):
    reply = start(Runtime.fake(problem=Problem.EMBEDDING)).ask(post(body))
    assert (reply.status, reply.error["code"], reply.error["where"]) == (400, code, where)


def test_a_prompt_that_there_is_not_is_refused(start, shared, make_bundle, make_embedder):
    with Runtime.open(make_bundle(make_embedder())) as runtime:
        reply = start(runtime).ask(post({"text": "a", "prompt": "query"}))
    assert (reply.status, reply.error["code"], reply.error["where"]) == (400, "unknown-prompt", "prompt")
    assert shared.ask(post({"text": "a", "prompt": "query"})).error["code"] == "unknown-field"
