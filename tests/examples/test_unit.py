"""The systemd unit: valid in systemd's own eyes, and its command is one that runs."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request

import fake_bundles
import pytest
import served

EXAMPLES = served.ROOT / "examples"
UNIT = EXAMPLES / "edgeroberta.service"
DROP_IN = EXAMPLES / "edgeroberta.service.d" / "jetson.conf"


def settings() -> dict[str, list[str]]:
    """Read the unit: name of a setting to its values."""
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def variables() -> dict[str, str]:
    """The unit's own environment; %C is the folder of caches."""
    pairs = [pair.partition("=") for line in settings()["Environment"] for pair in line.split(" ")]
    return {name: value.replace("%C", "/var/cache") for name, _, value in pairs}


def test_the_service_keeps_to_itself():
    found = settings()
    assert found["DynamicUser"] == found["NoNewPrivileges"] == found["PrivateTmp"] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]
    assert found["Restart"] == ["on-failure"]
    assert found["MemoryMax"] == ["1G"]
    cache = variables()["EDGEROBERTA_CACHE"]
    assert cache == f"/var/cache/{found['CacheDirectory'][0]}"
    assert variables()["HOST"] == "127.0.0.1"


@pytest.mark.parametrize("drop_in", [False, True], ids=["alone", "with the drop-in"])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path, drop_in):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd on this machine")
    # systemd looks for the program, which is not installed under /opt here.
    program = settings()["ExecStart"][0].split(" ")[0]
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace(program, "/bin/true"))
    if drop_in:
        (tmp_path / f"{UNIT.name}.d").mkdir()
        shutil.copy(DROP_IN, tmp_path / f"{UNIT.name}.d")
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(tmp_path / UNIT.name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.fixture
def started(tmp_path):
    """The unit's command as systemd runs it: its words, its environment, a socket to report to."""
    bundle = fake_bundles.write(tmp_path / "bundle")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    values = {**variables(), "BUNDLE": str(bundle), "PORT": str(port), "OPTIONS": "--queue 8 --workers 1"}
    program, *words = settings()["ExecStart"][0].split(" ")
    assert program == "/opt/edgeroberta/bin/edgeroberta"
    arguments: list[str] = []
    for word in words:
        if named := re.fullmatch(r"\$\{(\w+)\}", word):  # in braces: one word, whatever is in it
            arguments.append(values[named[1]])
        elif word.startswith("$"):  # without: split at spaces
            arguments += shlex.split(values[word[1:]])
        else:
            arguments.append(word)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(served.WAIT)
        environment = {
            **os.environ, "PYTHONPATH": str(served.ROOT), "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "EDGEROBERTA_CACHE": str(tmp_path / "cache"), "WATCHDOG_USEC": "200000",
        }  # fmt: skip
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeroberta", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process, manager, port
        finally:
            process.kill()
            process.communicate()


def test_the_command_of_the_unit_starts_reports_and_stops(started, tmp_path):
    process, manager, port = started
    assert manager.recv(4096).startswith(b"READY=1\n")
    assert manager.recv(4096) == b"WATCHDOG=1"
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as reply:
        assert reply.status == 200
    assert any((tmp_path / "cache").rglob("*")), "what it keeps must be in its own cache"
    process.send_signal(signal.SIGTERM)
    while (message := manager.recv(4096)) == b"WATCHDOG=1":
        pass
    assert message == b"STOPPING=1"
    assert process.wait(served.WAIT) == 0


def test_the_drop_in_undoes_only_what_a_gpu_needs():
    found = [line.partition("=")[0] for line in DROP_IN.read_text().splitlines() if "=" in line]
    assert found == ["PrivateDevices", "SupplementaryGroups", "TimeoutStartSec", "MemoryMax"]
