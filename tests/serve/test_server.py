"""A server on its way up and on its way out, and what may be set."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
import served
from served import get, post, wait_until

from edgeroberta.errors import EdgeRobertaError, UnavailableError, UsageError
from edgeroberta.runtime import Runtime
from edgeroberta.serve import Settings, serve


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


def test_the_engine_is_prepared_before_the_first_request(start):
    runtime, prepared = Runtime.fake(), []
    runtime.session.prepare = lambda: prepared.append(True)
    start(runtime)
    assert prepared == [True]


def test_health_says_that_the_server_is_stopping(start, gated):
    runtime, gate = gated
    server = start(runtime, workers=1)
    with server.client() as busy, server.client() as asking:
        busy.send(post({"text": "a"}))
        asking.send(b"G")
        wait_until(lambda: gate.reached == 1)
        wait_until(lambda: len(server.server.connections) == 2)
        server.signal()
        wait_until(lambda: server.server.service.stopping)
        asking.send(get("/health")[1:])
        reply = asking.reply()
        assert (reply.status, reply.json["status"], reply.json["ready"]) == (503, "stopping", False)
        gate.opened.set()
        assert busy.reply().status == 200


@pytest.mark.parametrize("again", [False, True], ids=["after the grace", "at the second signal"])
def test_a_request_that_does_not_end_is_given_up(start, gated, again, caplog):
    runtime, gate = gated
    server = start(runtime, workers=1, grace=30.0 if again else 0.1)
    with server.client() as client:
        client.send(post({"text": "a"}))
        wait_until(lambda: gate.reached == 1)
        if again:
            server.signal()
        assert server.stop() is False
        assert client.closed()
    assert "Traceback" not in caplog.text


def test_an_address_that_is_taken_is_said(start):
    port = start().port
    with pytest.raises(EdgeRobertaError) as caught:
        served.start(Runtime.fake(), port=port)
    assert caught.value.where == f"127.0.0.1:{port}"
    assert "cannot listen there" in caught.value.what
    assert "--port" in str(caught.value.hint)


def test_an_address_of_ip_version_6_is_written_in_brackets(start):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert start(host="::1").server.address.startswith("http://[::1]:")


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


@pytest.mark.parametrize("module", ["starlette", "uvicorn", "httptools", "prometheus_client"])
def test_without_its_extra_the_server_says_what_to_install(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UnavailableError) as caught:
        serve(Runtime.fake())
    assert caught.value.hint == "pip install 'edgeroberta[serve]'"


def test_the_package_imports_nothing_of_its_extra():
    code = (
        "import sys, edgeroberta.serve; "
        "print([name for name in ('starlette', 'uvicorn', 'prometheus_client') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
