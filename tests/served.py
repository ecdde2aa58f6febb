"""Real servers for tests: in a thread of this process, and as the command that users type."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edgeroberta
from edgeroberta.runtime import Runtime
from edgeroberta.serve import Settings
from edgeroberta.serve.server import Server

ROOT = Path(edgeroberta.__file__).parents[1]
WAIT = 20.0


@dataclass
class Reply:
    """An answer as it came: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str | None]:
        return self.json["error"]


class Client:
    """A socket to a server, for requests that no library would send."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self, *, head_only: bool = False) -> Reply | None:
        """Read one answer; None when the server closed instead."""
        line = self._file.readline()
        if not line:
            return None
        status = int(line.split()[1])
        headers = {}
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        length = 0 if head_only or status == 100 else int(headers["content-length"])
        return Reply(status, headers, self._file.read(length))

    def closed(self) -> bool:
        """Wait for the server to close; True when it sent nothing more before."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def post(body: Any, *headers: str, path: str = "/predict", kind: str = "application/json") -> bytes:
    """Lay out a POST; ``body`` is bytes as they are, or a value that becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {kind}", f"Content-Length: {len(data)}"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + data


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    """Lay out a request without a body."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


@dataclass
class Running:
    """A server in a thread of this process."""

    server: Server
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread
    outcome: list[bool] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    def client(self) -> Client:
        return Client(self.port)

    def ask(self, data: bytes, *, head_only: bool = False) -> Reply:
        with self.client() as client:
            client.send(data)
            reply = client.reply(head_only=head_only)
            assert reply is not None
            return reply

    def metric(self, line: str) -> float:
        """Return the value of one line of the metrics, given as all before the value."""
        text = self.ask(get("/metrics")).body.decode()
        found = [entry for entry in text.splitlines() if entry.startswith(line + " ")]
        assert len(found) == 1, f"{line!r} in:\n{text}"
        return float(found[0].rpartition(" ")[2])

    def has_metric(self, line: str) -> bool:
        """Tell whether the metrics have such a line."""
        return f"\n{line} " in self.ask(get("/metrics")).body.decode()

    def signal(self) -> None:
        """Do what a signal does."""
        self.loop.call_soon_threadsafe(self.server.stop)

    def stop(self) -> bool:
        """Stop and return whether all was finished."""
        if self.thread.is_alive():
            self.signal()
            self.thread.join(WAIT)
        assert not self.thread.is_alive()
        return self.outcome[0]


def start(runtime: Runtime, **settings: Any) -> Running:
    """Start a server in a thread."""
    started: list[Running] = []
    failed: list[BaseException] = []
    up = threading.Event()

    async def main() -> None:
        try:
            server = Server(runtime, Settings(**{"port": 0, **settings}))
            await server.start()
        except BaseException as error:
            failed.append(error)
            up.set()
            return
        started.append(Running(server, asyncio.get_running_loop(), thread))
        up.set()
        started[0].outcome.append(await server.run())

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert up.wait(WAIT)
    if failed:
        raise failed[0]
    return started[0]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread or process does."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@dataclass
class Command:
    """The command line in a process of its own."""

    process: subprocess.Popen[str]
    port: int
    first: str

    def terminate(self) -> tuple[int, str]:
        """Send SIGTERM; return the exit code and what was said on standard error after the start."""
        self.process.send_signal(signal.SIGTERM)
        _, said = self.process.communicate(timeout=WAIT)
        return self.process.returncode, said


@contextmanager
def command(bundle: Path, *options: object, environment: dict[str, str] | None = None) -> Iterator[Command]:
    """Run ``edgeroberta serve`` on a free port until the block ends."""
    words = [sys.executable, "-m", "edgeroberta", "serve", str(bundle), "--port", "0", *map(str, options)]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})}
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=variables)
    try:
        lines = []
        while not (
            found := re.search(r"serving .* at http://\S+:(\d+)$", lines[-1].strip() if lines else "")
        ):
            line = process.stderr.readline()
            assert line, "".join(lines)
            lines.append(line)
        yield Command(process, int(found[1]), "".join(lines))
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stderr is not None:
            process.stderr.close()
