"""What the service manager is told, on a real socket."""

from __future__ import annotations

import os
import socket

import pytest
from served import post, wait_until

from edgeroberta.serve.notify import notify, watchdog_seconds


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request, tmp_path, monkeypatch):
    """A socket as systemd opens one, with NOTIFY_SOCKET naming it."""
    name = str(tmp_path / "notify") if request.param == "a path" else f"@edgeroberta-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + name[1:] if name.startswith("@") else name)
        channel.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        yield channel


def told(channel: socket.socket) -> str:
    return channel.recv(4096).decode()


def test_the_manager_is_told_of_start_and_stop(manager, start):
    server = start()
    assert told(manager) == f"READY=1\nSTATUS=Answering at {server.server.address}"
    server.stop()
    assert told(manager) == "STOPPING=1"


def test_the_watchdog_gets_signs_of_life_until_the_engine_hangs(manager, monkeypatch, start, gated):
    runtime, gate = gated
    monkeypatch.setenv("WATCHDOG_USEC", "100000")
    server = start(runtime, workers=1, timeout=0.2)
    assert told(manager).startswith("READY=1")
    assert [told(manager) for _ in range(3)] == ["WATCHDOG=1"] * 3
    with server.client() as client:
        client.send(post({"text": "a"}))
        assert client.reply().status == 504
    manager.settimeout(0.3)

    def silent() -> bool:
        try:
            told(manager)
        except TimeoutError:
            return True
        return False

    wait_until(silent)
    gate.opened.set()
    manager.settimeout(10)
    assert told(manager) == "WATCHDOG=1"


def test_without_a_manager_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False


def test_a_manager_that_is_gone_is_a_warning(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    assert notify("READY=1") is False
    assert "the service manager cannot be told READY" in caplog.text


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("2000000", None, 2.0),
        ("2000000", "1", None),
        ("0", None, None),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_is_meant_for(monkeypatch, usec, pid, seconds):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert watchdog_seconds() == seconds
