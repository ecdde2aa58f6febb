"""A server under load, in trouble, and on its way out."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
import served
from served import get, post, wait_until

from edgeroberta.errors import EdgeRobertaError, UsageError
from edgeroberta.runtime import Problem, Runtime
from edgeroberta.serve import Settings, connection


def test_one_text_and_several_are_answered_as_the_runtime_answers_them(start):
    server = start()
    one = server.ask(post({"text": "great film"}))
    assert one.status == 200
    assert one.headers["content-type"] == "application/json; charset=utf-8"
    found = one.json["predictions"][0]
    assert sorted(found) == ["input", "label", "labels", "score", "scores", "truncated"]
    assert (found["label"], found["truncated"]) == ("positive", False)
    several = server.ask(post({"texts": ["bad", "great film", "word " * 600]}))
    answers = several.json["predictions"]
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


def test_health_says_what_answers(start):
    reply = start().ask(get("/health"))
    assert reply.status == 200
    assert reply.json == {
        "live": True,
        "ready": True,
        "status": "ready",
        "engine": "fake",
        "engine_version": "0",
        "bundle": "",
        "version": reply.json["version"],
    }


def test_head_is_get_without_a_body(start):
    with start().client() as client:
        client.send(get("/health", method="HEAD") + get("/health"))
        head = client.reply(head_only=True)
        assert head.status == 200
        assert int(head.headers["content-length"]) == len(client.reply().body)


def test_requests_sent_ahead_are_answered_in_order(start):
    with start().client() as client:
        client.send(b"".join(post({"text": str(number)}) for number in range(50)) + get("/health"))
        replies = [client.reply() for _ in range(51)]
    assert [reply.json["predictions"][0]["input"] for reply in replies[:50]] == [str(n) for n in range(50)]
    assert replies[50].json["ready"]


def test_a_client_that_ends_its_half_after_asking_is_answered(start):
    with start().client() as client:
        client.send(post({"text": "a"}) + post({"text": "b"}))
        client.socket.shutdown(1)
        assert [client.reply().json["predictions"][0]["input"] for _ in "ab"] == ["a", "b"]
        assert client.closed()


def test_a_request_may_come_byte_by_byte(start):
    with start().client() as client:
        for byte in post({"text": "great film"}):
            client.send(bytes([byte]))
        assert client.reply().json["predictions"][0]["label"] == "positive"


def test_a_client_that_waits_for_a_word_before_its_body_gets_one(start):
    request = post({"text": "great film"}, "Expect: 100-continue")
    head, body = request[:-22], request[-22:]
    server = start()
    with server.client() as client:
        client.send(head)
        assert client.reply().status == 100
        client.send(body)
        assert client.reply().status == 200
    with server.client() as client:
        client.send(get("/nothing", "Expect: 100-continue", "Content-Length: 5", method="POST"))
        assert client.reply().status == 404
        assert client.closed()


def test_a_body_over_the_limit_is_refused_before_it_is_read(start):
    server = start(max_bytes=1000)
    with server.client() as client:
        client.send(post({"text": "a" * 5_000_000}))
        reply = client.reply()
        assert (reply.status, reply.error["where"]) == (413, "Content-Length")
        assert client.closed()
    assert server.ask(post({"text": "a" * 980})).status == 200


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
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert server.metric('edgeroberta_rejected_total{reason="queue"}') == 1
    gate.opened.set()
    for number, client in enumerate(clients):
        assert client.reply().json["predictions"][0]["input"] == str(number)
        client.close()
    assert server.ask(post({"text": "3"})).status == 200
    assert server.metric("edgeroberta_in_flight") == 0


def test_a_request_without_an_answer_in_time_is_504_and_its_answer_is_dropped(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1, timeout=0.1)
    with server.client() as client:
        client.send(post({"text": "late"}))
        reply = client.reply()
        assert (reply.status, reply.error["what"]) == (504, "no answer within 0.1 s")
        client.send(get("/health"))
        stuck = client.reply()
        assert (stuck.status, stuck.json["status"], stuck.json["live"]) == (503, "stuck", True)
        gate.opened.set()
        wait_until(lambda: server.ask(get("/health")).status == 200)
        client.send(post({"text": "next"}))
        assert client.reply().json["predictions"][0]["input"] == "next"
    assert server.metric("edgeroberta_abandoned_total") == 1
    assert server.metric("edgeroberta_in_flight") == 0


def test_the_request_of_a_client_that_left_is_not_begun(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1)
    with server.client() as first:
        first.send(post({"text": "first"}))
        wait_until(lambda: gate.reached == 1)
        with server.client() as second:
            second.send(post({"text": "second"}))
            wait_until(lambda: server.metric("edgeroberta_in_flight") == 2)
            second.socket.setsockopt(
                served.socket.SOL_SOCKET, served.socket.SO_LINGER, b"\1\0\0\0" + b"\0" * 4
            )
        wait_until(lambda: server.metric("edgeroberta_abandoned_total") == 1)
        gate.opened.set()
        assert first.reply().status == 200
    server.ask(post({"text": "third"}))
    assert gate.reached == 2


def test_the_request_of_a_client_that_left_gives_its_place_to_the_next(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1, queue=1)
    with server.client() as first, server.client() as third:
        first.send(post({"text": "first"}))
        wait_until(lambda: gate.reached == 1)
        with server.client() as second:
            second.send(post({"text": "second"}))
            wait_until(lambda: server.metric("edgeroberta_queue_depth") == 1)
            second.socket.setsockopt(
                served.socket.SOL_SOCKET, served.socket.SO_LINGER, b"\1\0\0\0" + b"\0" * 4
            )
        wait_until(lambda: server.metric("edgeroberta_queue_depth") == 0)
        third.send(post({"text": "third"}))
        wait_until(lambda: server.metric("edgeroberta_queue_depth") == 1)
        gate.opened.set()
        assert (first.reply().status, third.reply().status) == (200, 200)


def test_an_engine_that_fails_is_a_500_which_tells_nothing_of_the_text(start, caplog):
    runtime = Runtime.fake()
    original = runtime.session.run
    runtime.session.run = lambda *_: np.full((1, 2), np.nan, np.float32)
    server = start(runtime)
    reply = server.ask(post({"text": "secret words"}))
    assert (reply.status, reply.error["what"]) == (500, "the engine failed")
    assert "not finite" in caplog.text
    runtime.session.run = original
    assert server.ask(post({"text": "secret words"})).status == 200
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "begun", [b"GET /health HT", post({"text": "a"})[:-3], b"P"], ids=["a head", "a body", "a byte"]
)
def test_a_client_that_sends_too_slowly_is_told_so_and_closed(start, begun):
    server = start(read_timeout=0.2)
    with server.client() as client:
        client.send(begun)
        assert client.reply().status == 408
        assert client.closed()


def test_bytes_that_keep_coming_do_not_prolong_a_slow_request(start):
    server = start(read_timeout=0.3)
    with server.client() as client:
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.05):
                try:
                    client.send(b"x")
                except OSError:
                    return

        client.send(b"GET /health HTTP/1.1\r\nA: ")
        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert client.reply().status == 408
        finally:
            stop.set()
            thread.join()


def test_an_idle_connection_is_closed_without_a_word(start):
    with start(idle_timeout=0.2).client() as client:
        client.send(get("/health"))
        assert client.reply().status == 200
        assert client.closed()


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
        client.socket.setsockopt(served.socket.SOL_SOCKET, served.socket.SO_RCVBUF, 4096)
        client.socket.settimeout(1)
        # More than fits in the buffers of the system, so that some of it has to wait.
        with pytest.raises(OSError, match=r"timed out|reset|Broken pipe"):
            client.send(get("/metrics") * 400_000)
    wait_until(lambda: server.metric("edgeroberta_connections") == 1)


#: More than the buffers of the system take, so that some of the answer has to wait in the server.
LONG = {"text": "a " * 3_000_000}


def hasty(server: served.Running) -> served.socket.socket:
    """Connect with a small buffer for what comes."""
    client = served.socket.socket()
    client.setsockopt(served.socket.SOL_SOCKET, served.socket.SO_RCVBUF, 4096)
    client.settimeout(served.WAIT)
    client.connect(("127.0.0.1", server.port))
    return client


def test_a_client_that_ends_its_half_and_reads_nothing_holds_no_connection(start):
    server = start(read_timeout=2, max_bytes=8 << 20)
    with hasty(server) as client:
        client.sendall(post(LONG))
        client.shutdown(served.socket.SHUT_WR)
        wait_until(lambda: server.server.service.metrics.answers["/predict", 200] == 1)
        wait_until(lambda: server.metric("edgeroberta_connections") == 1)


def test_a_last_answer_that_is_read_slowly_comes_whole(start, monkeypatch):
    monkeypatch.setattr(connection, "_DRAIN_SECONDS", 0.1)
    server = start(max_bytes=8 << 20)
    with hasty(server) as client:
        client.sendall(post(LONG, "Connection: close"))
        wait_until(lambda: server.server.service.metrics.answers["/predict", 200] == 1)
        time.sleep(0.5)  # longer than a client that has all of it is waited for
        answer = b"".join(iter(lambda: client.recv(1 << 20), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    assert json.loads(body)["predictions"][0]["input"] == LONG["text"]


def test_connections_over_the_limit_are_told_so(start):
    server = start(connections=2)
    with server.client() as first, server.client() as second:
        first.send(get("/health"))
        second.send(get("/health"))
        assert (first.reply().status, second.reply().status) == (200, 200)
        with server.client() as third:
            assert third.reply().status == 503
            assert third.closed()
    wait_until(lambda: server.ask(get("/health")).status == 200)
    assert server.metric('edgeroberta_rejected_total{reason="connections"}') >= 1


def test_what_is_under_way_is_finished_when_the_server_stops(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1)
    with (
        server.client() as busy,
        server.client() as waiting,
        server.client() as idle,
        server.client() as half,
    ):
        busy.send(post({"text": "a"}))
        wait_until(lambda: gate.reached == 1)
        waiting.send(post({"text": "b"}))
        half.send(post({"text": "c"})[:-1])
        wait_until(lambda: server.metric("edgeroberta_queue_depth") == 1)
        server.signal()
        assert idle.closed()
        with pytest.raises(ConnectionRefusedError):
            server.client()
        half.send(b"}")
        gate.opened.set()
        for client, text in ((busy, "a"), (waiting, "b"), (half, "c")):
            reply = client.reply()
            assert reply.json["predictions"][0]["input"] == text
            assert reply.headers["connection"] == "close"
    assert server.stop() is True


def test_health_says_that_the_server_is_stopping(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1)
    with server.client() as busy, server.client() as asking:
        busy.send(post({"text": "a"}))
        asking.send(b"G")
        wait_until(lambda: gate.reached == 1)
        wait_until(lambda: server.server.service.connections == 2)
        server.signal()
        wait_until(lambda: server.server.service.stopping)
        asking.send(get("/health")[1:])
        reply = asking.reply()
        assert (reply.status, reply.json["status"], reply.json["ready"]) == (503, "stopping", False)
        gate.opened.set()
        assert busy.reply().status == 200


@pytest.mark.parametrize("again", [False, True], ids=["after the grace", "at the second signal"])
def test_a_request_that_does_not_end_is_given_up(start, gated, again):
    runtime, gate = gated
    server = start(runtime, workers=1, grace=30.0 if again else 0.1)
    with server.client() as client:
        client.send(post({"text": "a"}))
        wait_until(lambda: gate.reached == 1)
        if again:
            server.signal()
        assert server.stop() is False
        assert client.closed()


def test_an_address_that_is_taken_is_said(start):
    port = start().port
    with pytest.raises(EdgeRobertaError) as caught:
        served.start(Runtime.fake(), port=port)
    assert caught.value.where == f"127.0.0.1:{port}"
    assert "cannot listen there" in caught.value.what
    assert "--port" in str(caught.value.hint)


@pytest.mark.parametrize(
    "wrong", [{"port": 70_000}, {"queue": 0}, {"timeout": 0.0}, {"workers": 0}, {"timeout": float("nan")}]
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(UsageError) as caught:
        Settings(**wrong)
    assert caught.value.where == next(iter(wrong))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False),
     ("::", False), ("10.0.0.1", False), ("example.org", False)],
)  # fmt: skip
def test_addresses_of_this_machine_alone_are_known(host, loopback):
    assert Settings(host=host).loopback is loopback


def test_four_clients_get_every_answer_and_the_memory_stays(start):
    server = start(Runtime.fake(answers={str(number): "positive" for number in range(0, 200, 2)}))
    lost: list[str] = []

    def ask(client: served.Client) -> None:
        for number in range(1000):
            text = str(number % 200)
            client.send(post({"text": text}))
            reply = client.reply()
            answer = reply.json["predictions"][0] if reply is not None and reply.status == 200 else {}
            wanted = "positive" if int(text) % 2 == 0 and int(text) < 200 else "negative"
            if (answer.get("input"), answer.get("label")) != (text, wanted):
                lost.append(text)

    def round_of_clients() -> None:
        clients = [server.client() for _ in range(4)]
        threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()

    round_of_clients()
    assert lost == []
    assert server.metric("edgeroberta_texts_total") == 4000
    assert server.metric("edgeroberta_request_seconds_count") == 4000
    assert server.metric('edgeroberta_requests_total{path="/predict",code="200"}') == 4000


def test_answers_hold_what_json_can(start):
    text = 'quotes " \\ \u2028 \x00 😀 </script>'
    reply = start().ask(post({"text": text}))
    assert reply.json["predictions"][0]["input"] == text
    assert json.loads(reply.body.decode("utf-8"))["engine"] == "fake"
