"""Clients that send ahead, slowly, too much or nothing, and those that do not read."""

from __future__ import annotations

import json
import threading
import time

import pytest
import served
from served import get, post, wait_until

from edgeroberta.serve import connection

RECEIVE_BUFFER = served.socket.SOL_SOCKET, served.socket.SO_RCVBUF, 4096
#: More than the buffers of the system take, so that some of the answer has to wait in the server.
LONG = {"text": "a " * 3_000_000}


def test_requests_sent_ahead_are_answered_in_order(shared):
    numbers = [str(number) for number in range(300)]
    with shared.client() as client:
        client.send(b"".join(post({"text": number}) for number in numbers) + get("/health"))
        replies = [client.reply() for _ in range(301)]
    assert [reply.json["predictions"][0]["input"] for reply in replies[:-1]] == numbers
    assert replies[-1].json["ready"]


@pytest.mark.parametrize("by", [1, 7, 10_000])
def test_an_offer_of_another_protocol_is_passed_over_with_its_body(shared, by):
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
    asked = post({"text": "great film"}, *offer)
    sent = asked + get("/health", *offer) + asked + get("/health")
    with shared.client() as client:
        for start in range(0, len(sent), by):
            client.send(sent[start : start + by])
        replies = [client.reply() for _ in range(4)]
    assert [reply.status for reply in replies] == [200] * 4
    assert [reply.json["predictions"][0]["label"] for reply in replies[::2]] == ["positive"] * 2


def test_what_is_in_the_body_of_an_offer_is_no_request(shared):
    offer = ("Connection: Upgrade", "Upgrade: websocket")
    with shared.client() as client:
        client.send(post(get("/health"), *offer) + get("/health"))
        assert [client.reply().status, client.reply().status] == [400, 200]
        pieces = post(b"", *offer).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        client.send(pieces + get("/health"))
        assert client.reply().status == 411
        assert client.closed()


def test_what_is_sent_ahead_waits_as_bytes_and_in_the_clients_own_buffer(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1)
    with server.client() as client:
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.send(post({"text": "a"}) * 400_000)
        (held,) = server.server.connections
        waiting = [len(held.ahead), len(held.pipeline)]
        assert waiting[0] < 1 << 20
        assert waiting[1] < 100
        gate.opened.set()


@pytest.mark.parametrize("answered", [True, False], ids=["after its answer", "before its answer"])
def test_a_client_that_ends_its_half_is_closed_and_its_request_given_up(start, gated, answered):
    runtime, gate = gated
    server = start(runtime)
    with server.client() as client:
        client.send(post({"text": "a"}))
        wait_until(lambda: gate.reached == 1)
        if answered:
            gate.opened.set()
            assert client.reply().status == 200
        client.socket.shutdown(1)
        assert client.closed()
    wait_until(lambda: server.metric("edgeroberta_in_flight") == 0)
    assert server.metric("edgeroberta_abandoned_total") == (0 if answered else 1)


def test_a_request_may_come_byte_by_byte(shared):
    with shared.client() as client:
        for byte in post({"text": "great film"}):
            client.send(bytes([byte]))
        assert client.reply().json["predictions"][0]["label"] == "positive"


@pytest.mark.parametrize(
    "begun", [b"GET /health HT", post({"text": "a"})[:-3], b"P"], ids=["a head", "a body", "a byte"]
)
def test_a_client_that_sends_too_slowly_is_told_so_and_closed(start, begun):
    with start(read_timeout=0.2).client() as client:
        client.send(begun)
        reply = client.reply()
        assert (reply.status, reply.error["code"]) == (408, "read-timeout")
        assert client.closed()


def test_a_slow_request_behind_one_that_is_answered_waits_for_that_answer(start, gated):
    runtime, gate = gated
    with start(runtime, read_timeout=0.1).client() as client:
        client.send(post({"text": "a"}) + b"GET")
        wait_until(lambda: gate.reached == 1)
        time.sleep(0.2)
        gate.opened.set()
        assert [client.reply().status, client.reply().status] == [200, 408]
        assert client.closed()


@pytest.mark.parametrize(
    "begun",
    [b"GET /health HTTP/1.1\r\nA: ", get("/nothing", "Content-Length: 900", method="PUT")],
    ids=["a head", "a body that is not read"],
)
def test_bytes_that_keep_coming_do_not_prolong_a_slow_request(start, begun):
    server = start(read_timeout=0.3)
    with server.client() as client:
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    client.send(b"x")
                except OSError:
                    return

        client.send(begun)
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert client.reply().status == (408 if begun.startswith(b"GET") else 404)
            assert client.closed()
        finally:
            stop.set()
            thread.join()


@pytest.mark.parametrize("sent", [b"", get("/health"), b"\r\n"], ids=["nothing", "a request", "a line end"])
def test_an_idle_connection_is_closed_without_a_word(start, sent):
    with start(idle_timeout=0.2).client() as client:
        client.send(sent)
        if sent.startswith(b"GET"):
            assert client.reply().status == 200
        assert client.closed()


def test_an_idle_connection_is_kept_for_longer_than_uvicorns_own_5_seconds(start):
    server = start()
    with server.client() as client:
        client.send(get("/health"))
        assert client.reply().status == 200
        (held,) = server.server.connections
        wait_until(lambda: held.timeout_keep_alive_task is not None)
        assert held.timeout_keep_alive_task.when() - held.loop.time() > 70


def test_slow_clients_do_not_keep_others_from_being_answered(start):
    server = start(connections=50)
    slow = [server.client() for _ in range(40)]
    for client in slow:
        client.send(b"POST /predict HTTP/1.1\r\n")
    assert server.ask(post({"text": "great film"})).status == 200
    for client in slow:
        client.close()


def test_a_client_that_does_not_read_its_answers_stops_being_served(start):
    server = start(read_timeout=0.3, workers=1)
    with server.client() as client:
        client.socket.setsockopt(*RECEIVE_BUFFER)
        client.socket.settimeout(1)
        # More than fits in the buffers of the system, so that some of it has to wait.
        with pytest.raises(OSError, match=r"timed out|reset|Broken pipe"):
            client.send(get("/metrics") * 400_000)
    wait_until(lambda: server.metric("edgeroberta_connections") == 1)


def hasty(server: served.Running) -> served.socket.socket:
    """Connect with a small buffer for what comes."""
    client = served.socket.socket()
    client.setsockopt(*RECEIVE_BUFFER)
    client.settimeout(served.WAIT)
    client.connect(("127.0.0.1", server.port))
    return client


ANSWERED = 'edgeroberta_requests_total{code="200",path="/predict"}'


@pytest.mark.parametrize("headers", [(), ("Connection: close",)], ids=["kept", "last"])
def test_a_client_that_reads_nothing_holds_no_connection(start, headers, monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.1)
    server = start(read_timeout=0.5, max_bytes=8 << 20)
    with hasty(server) as client:
        client.sendall(post(LONG, *headers))
        wait_until(lambda: server.has_metric(ANSWERED))
        wait_until(lambda: server.metric("edgeroberta_connections") == 1)


def test_a_last_answer_that_is_read_slowly_comes_whole(start, monkeypatch):
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.1)
    server = start(max_bytes=8 << 20)
    with hasty(server) as client:
        client.sendall(post(LONG, "Connection: close"))
        wait_until(lambda: server.has_metric(ANSWERED))
        time.sleep(0.5)  # longer than a client that has all of it is waited for
        answer = b"".join(iter(lambda: client.recv(1 << 20), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"content-length: {len(body)}\r\n".encode() in head + b"\r\n"
    assert json.loads(body)["predictions"][0]["input"] == LONG["text"]


def test_connections_over_the_limit_are_told_so(start):
    server = start(connections=2)
    with server.client() as first, server.client() as second:
        first.send(get("/health"))
        second.send(get("/health"))
        assert (first.reply().status, second.reply().status) == (200, 200)
        with server.client() as third:
            third.send(get("/health"))
            reply = third.reply()
            assert (reply.status, reply.error["code"]) == (503, "too-many-connections")
            assert reply.headers["retry-after"] == "1"
            assert third.closed()
    wait_until(lambda: server.ask(get("/health")).status == 200)
    assert server.metric('edgeroberta_rejected_total{reason="connections"}') >= 1
