"""Requests whose head is malformed or not taken are refused with the status and the code that say so."""

from __future__ import annotations

import random

import pytest
from fuzzing.mutation import damaged
from served import get, post

BODY = b'{"text": "a"}'
PARSER = (400, "malformed-request", "head")


def lines(*rows: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*rows, "", ""]).encode("latin-1") + body


def health(*headers: str) -> bytes:
    return lines("GET /health HTTP/1.1", "Host: x", *headers)


def predict(*headers: str, body: bytes = BODY) -> bytes:
    return lines("POST /predict HTTP/1.1", "Host: x", *headers, body=body)


MALFORMED = {
    "no request line": (lines("hello"), *PARSER),
    "a space in the target": (lines("GET /a b HTTP/1.1", "Host: x"), *PARSER),
    "a target that is no path": (lines("GET health HTTP/1.1", "Host: x"), *PARSER),
    "a target that is not ASCII": (lines("GET /h\xe4 HTTP/1.1", "Host: x"), *PARSER),
    "a method with a colon": (lines("GE:T /health HTTP/1.1", "Host: x"), *PARSER),
    "a space before the colon": (lines("GET /health HTTP/1.1", "Host : x"), *PARSER),
    "a folded header": (health(" y"), *PARSER),
    "a header without a colon": (health("y"), *PARSER),
    "a zero byte": (health("A: x\0"), *PARSER),
    "a bare carriage return": (health("A: x\ry"), *PARSER),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: x\n\n", *PARSER),
    "two lengths": (post(BODY, "Content-Length: 13"), *PARSER),
    "a list of lengths": (predict("Content-Length: 13, 13"), *PARSER),
    "a signed length": (predict("Content-Length: +13"), *PARSER),
    "a length in other digits": (predict("Content-Length: \xb2"), *PARSER),
    "a length of 5000 digits": (predict("Content-Length: " + "9" * 5000), *PARSER),
    "a length and pieces": (post(BODY, "Transfer-Encoding: chunked"), *PARSER),
    "no Host": (lines("GET /health HTTP/1.1"), 400, "malformed-request", "Host"),
    "two Hosts": (health("Host: y"), 400, "malformed-request", "Host"),
    "two types": (post(BODY, "Content-Type: text/plain"), 400, "malformed-request", "Content-Type"),
    "no length": (predict(body=b""), 411, "length-required", "Content-Length"),
    "pieces": (predict("Transfer-Encoding: chunked"), 411, "length-required", "Transfer-Encoding"),
    "other pieces": (
        predict("Transfer-Encoding: gzip, chunked"),
        411,
        "length-required",
        "Transfer-Encoding",
    ),
    "an unknown expectation": (post(BODY, "Expect: miracles"), 417, "expectation-failed", "Expect"),
    "101 headers": (health(*["A: b"] * 100), 431, "head-too-large", "head"),
    "a head over the limit": (health("A: " + "b" * 17_000), 431, "head-too-large", "head"),
    "a head without end": (b"GET /health HTTP/1.1\r\nA: " + b"b" * 30_000, 431, "head-too-large", "head"),
    "HTTP/2": (lines("GET /health HTTP/2.0", "Host: x"), 505, "http-version", "request line"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused_and_the_connection_closed(shared, name):
    data, status, code, where = MALFORMED[name]
    with shared.client() as client:
        client.send(data)
        reply = client.reply()
        assert (reply.status, reply.error["code"], reply.error["where"]) == (status, code, where)
        assert reply.error["message"]
        assert reply.headers["connection"] == "close"
        assert reply.headers["content-type"] == "application/json"
        assert client.closed()


def test_a_damaged_head_is_answered_or_refused_and_never_a_failure_of_the_server(start):
    server = start(read_timeout=0.3)
    rng = random.Random(10)
    clients = []
    for _ in range(150):
        clients.append(server.client())
        clients[-1].send(damaged(rng, post(BODY)) + b"\r\n\r\n")
    for client in clients:
        reply = client.reply()
        assert reply.status == 200 or 400 <= reply.status < 500 or reply.status == 505, reply
        client.close()
    assert server.ask(post(BODY)).status == 200


def test_what_is_no_http_is_refused_after_the_answer_to_what_came_before(start, gated):
    runtime, gate = gated
    with start(runtime).client() as client:
        client.send(post({"text": "a"}) + b"nonsense\r\n\r\n")
        gate.opened.set()
        assert [client.reply().status, client.reply().status] == [200, 400]
        assert client.closed()


@pytest.mark.parametrize(
    ("data", "status", "code", "where"),
    [
        (get("/helth"), 404, "not-found", "path"),
        (get("/health/"), 404, "not-found", "path"),
        (get("/predict"), 405, "method-not-allowed", "/predict"),
        (get("/predict", method="HEAD"), 405, None, "/predict"),
        (post(BODY, path="/health"), 405, "method-not-allowed", "/health"),
        (get("/health", method="DELETE"), 405, "method-not-allowed", "/health"),
        (post(BODY, kind="text/plain"), 415, "unsupported-media-type", "Content-Type"),
        (post(BODY, kind="application/json; charset=utf-16"), 415, "unsupported-media-type", "Content-Type"),
        (post(BODY, "Content-Encoding: gzip"), 415, "unsupported-encoding", "Content-Encoding"),
    ],
)
def test_a_request_that_is_not_taken_leaves_the_connection_open(shared, data, status, code, where):
    with shared.client() as client:
        client.send(data + get("/health"))
        reply = client.reply(head_only=code is None)
        assert reply.status == status
        if code is not None:
            assert (reply.error["code"], reply.error["where"]) == (code, where)
        if status == 405:
            allowed = {"POST"} if where == "/predict" else {"GET", "HEAD"}
            assert set(reply.headers["allow"].split(", ")) == allowed
        assert client.reply().status == 200


def test_a_near_path_is_suggested(shared):
    request = lines("GET /helth HTTP/1.1", "Host: [")
    assert shared.ask(request).error["hint"] == "did you mean '/health'?"


def test_a_body_without_a_type_is_refused_since_web_pages_may_send_one(shared):
    reply = shared.ask(predict(f"Content-Length: {len(BODY)}"))
    assert (reply.status, reply.error["message"]) == (415, "the header is missing")


def test_the_forms_that_http_allows_are_understood(shared):
    with shared.client() as client:
        client.send(b"\r\n" + lines("GET http://host:1/health?x=1 HTTP/1.1", "HOST:x", "a:", "A:\tb\t"))
        assert client.reply().status == 200
        client.send(post(BODY, kind='Application/JSON; charset="UTF-8"'))
        assert client.reply().status == 200
        client.send(get("/health", "Content-Length: 3") + b"abc" + get("/health"))
        assert [client.reply().status, client.reply().status] == [200, 200]
        client.send(health("Connection: Upgrade", "Upgrade: h2c"))
        assert client.reply().status == 200
        client.send(lines("GET /health HTTP/1.0"))
        assert client.reply().headers["connection"] == "close"
        assert client.closed()
