"""Requests that are malformed are refused with the status and the words that say so."""

from __future__ import annotations

import pytest
from served import get, post

BODY = b'{"text": "a"}'


def lines(*rows: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*rows, "", ""]).encode("latin-1") + body


MALFORMED = {
    "no request line": (lines("hello"), 400, "request line"),
    "a space in the target": (lines("GET /a b HTTP/1.1", "Host: x"), 400, "request line"),
    "a target that is no path": (lines("GET health HTTP/1.1", "Host: x"), 400, "request line"),
    "a method with a colon": (lines("GE:T /health HTTP/1.1", "Host: x"), 400, "request line"),
    "HTTP/2 in HTTP/1's form": (lines("GET /health HTTP/2.0", "Host: x"), 505, None),
    "no Host": (lines("GET /health HTTP/1.1"), 400, "Host"),
    "two Hosts": (lines("GET /health HTTP/1.1", "Host: x", "Host: y"), 400, "Host"),
    "a space before the colon": (lines("GET /health HTTP/1.1", "Host : x"), 400, "header 1"),
    "a folded header": (lines("GET /health HTTP/1.1", "Host: x", " y"), 400, "header 2"),
    "a header without a colon": (lines("GET /health HTTP/1.1", "Host: x", "y"), 400, "header 2"),
    "a zero byte": (lines("GET /health HTTP/1.1", "Host: x\0"), 400, "header 1"),
    "a bare carriage return": (lines("GET /health HTTP/1.1", "Host: x\ry"), 400, "header 1"),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: x\n\n", 400, "head"),
    "101 headers": (lines("GET /health HTTP/1.1", *["A: b"] * 101), 431, "head"),
    "a head without end": (b"GET /health HTTP/1.1\r\nA: " + b"b" * 20_000, 431, "head"),
    "no length": (lines("POST /predict HTTP/1.1", "Host: x"), 411, "Content-Length"),
    "two lengths": (post(BODY, "Content-Length: 13"), 400, "Content-Length"),
    "a list of lengths": (
        lines("POST /predict HTTP/1.1", "Host: x", "Content-Length: 13, 13", body=BODY),
        400,
        "Content-Length",
    ),
    "a signed length": (
        lines("POST /predict HTTP/1.1", "Host: x", "Content-Length: +13", body=BODY),
        400,
        "Content-Length",
    ),
    "a length in other digits": (
        lines("POST /predict HTTP/1.1", "Host: x", "Content-Length: \xb2", body=BODY),
        400,
        "Content-Length",
    ),
    "a length of 5000 digits": (
        lines("POST /predict HTTP/1.1", "Host: x", "Content-Length: " + "9" * 5000),
        413,
        "Content-Length",
    ),
    "a body in pieces": (
        lines("POST /predict HTTP/1.1", "Host: x", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        411,
        "Transfer-Encoding",
    ),
    "an unknown coding": (
        lines("POST /predict HTTP/1.1", "Host: x", "Transfer-Encoding: gzip, chunked"),
        501,
        "Transfer-Encoding",
    ),
    "a length and pieces": (post(BODY, "Transfer-Encoding: chunked"), 400, "Transfer-Encoding"),
    "an unknown expectation": (post(BODY, "Expect: miracles"), 417, "Expect"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_head_is_refused_and_the_connection_closed(start, name):
    data, status, where = MALFORMED[name]
    server = start()
    with server.client() as client:
        client.send(data)
        reply = client.reply()
        assert (reply.status, reply.error["where"]) == (status, where)
        assert reply.error["what"]
        assert reply.headers["connection"] == "close"
        assert client.closed()
    path = "/predict" if status == 413 else "other"  # only then was the head read to its end
    assert server.metric(f'edgeroberta_requests_total{{path="{path}",code="{status}"}}') == 1


@pytest.mark.parametrize(
    ("data", "status", "where"),
    [
        (get("/helth"), 404, "path"),
        (get("/predict"), 405, "/predict"),
        (get("/predict", method="HEAD"), 405, "/predict"),
        (post(BODY, path="/health"), 405, "/health"),
        (get("/health", method="DELETE"), 405, "/health"),
        (post(BODY, kind="text/plain"), 415, "Content-Type"),
        (post(BODY, kind="application/json; charset=utf-16"), 415, "Content-Type"),
        (post(BODY, "Content-Encoding: gzip"), 415, "Content-Encoding"),
    ],
)
def test_a_request_that_is_not_taken_leaves_the_connection_open(start, data, status, where):
    head_only = data.startswith(b"HEAD")
    with start().client() as client:
        client.send(data + get("/health"))
        reply = client.reply(head_only=head_only)
        assert reply.status == status
        if not head_only:
            assert reply.error["where"] == where
        if status == 405:
            assert reply.headers["allow"] == ("POST" if where == "/predict" else "GET, HEAD")
        assert client.reply().status == 200


def test_a_near_path_is_suggested(start):
    assert start().ask(get("/helth")).error["hint"] == "did you mean '/health'?"


def test_a_body_without_a_type_is_refused_since_web_pages_may_send_one(start):
    request = lines("POST /predict HTTP/1.1", "Host: x", f"Content-Length: {len(BODY)}", body=BODY)
    reply = start().ask(request)
    assert (reply.status, reply.error["what"]) == (415, "the header is missing")


def test_the_forms_that_http_allows_are_understood(start):
    with start().client() as client:
        client.send(b"\r\n" + lines("GET http://host:1/health?x=1 HTTP/1.1", "HOST:x", "a:", "A:\tb\t"))
        assert client.reply().status == 200
        client.send(post(BODY, kind='Application/JSON; charset="UTF-8"'))
        assert client.reply().status == 200
        client.send(get("/health", "Content-Length: 3") + b"abc" + get("/health"))
        assert [client.reply().status, client.reply().status] == [200, 200]
        client.send(lines("GET /health HTTP/1.0"))
        assert client.reply().headers["connection"] == "close"
        assert client.closed()
