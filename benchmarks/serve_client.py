"""One client of benchmarks/serve.py in a process of its own; prints one JSON line.

    python -m benchmarks.serve_client PORT WANTED COUNT FIRST

WANTED is a JSON list of predictions, as a server gives them. The client keeps its connection, asks COUNT
times beginning at the input of prediction FIRST, compares every answer, and every twentieth time sends
something malformed instead.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

#: Of so many requests, one is malformed.
MALFORMED_EVERY = 20


def post(body: bytes, path: str = "/predict", kind: str = "application/json") -> bytes:
    """Lay out a POST."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body


#: Malformed request to the status it must get.
MALFORMED = (
    (post(b'{"text": '), 400),
    (post(b'{"text": 1}'), 400),
    (post(b'{"text": "\\ud800"}'), 400),
    (post(b'{"text": "\xff"}'), 400),
    (post(json.dumps({"texts": ["a"] * 1000}).encode()), 413),
    (post(b"{}", path="/nothing"), 404),
    (post(b"{}", path="/health"), 405),
    (post(b'{"text": "a"}', kind="text/plain"), 415),
    (b"POST /predict HTTP/1.1\r\nHost: x\r\n\r\n", 411),
    (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413),
    (b"GET /health HTTP/1.1\r\nA: " + b"b" * 20_000 + b"\r\n\r\n", 431),
    (b"nonsense\r\n\r\n", 400),
)


class Connection:
    """A connection that is kept, and made anew after the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and read its answer.

        Returns:
            Status and body.

        Raises:
            OSError: The connection broke before the whole answer was there: the answer is lost.
        """
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        data = b""
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._more()
        head = data[:end].decode("latin-1").lower()
        length = int(head.split("content-length: ", 1)[1].split("\r\n", 1)[0])
        while len(data) < end + 4 + length:
            data += self._more()
        if "connection: close" in head:
            self.close()
        return int(head.split(" ", 2)[1]), data[end + 4 :]

    def close(self) -> None:
        """Forget the connection."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _more(self) -> bytes:
        found = self._socket.recv(65536) if self._socket is not None else b""
        if not found:
            raise ConnectionError("closed before the answer was there")
        return found


def ask_all(port: int, wanted: list[dict[str, Any]], count: int, first: int) -> dict[str, Any]:
    """Ask ``count`` times.

    Returns:
        ``ms`` of each request that was answered, how many each of the ``tiers`` of a cascade answered, how
        many answers were lost, wrong, refused though well-formed, and how many malformed requests there were
        and how many got another status.
    """
    connection = Connection(port)
    requests = [(post(json.dumps({"text": each["input"]}).encode()), each) for each in wanted]
    tiers: Counter[str] = Counter()
    tally = dict.fromkeys(("lost", "wrong", "malformed", "malformed_mistaken"), 0)
    milliseconds = []
    for number in range(first, first + count):
        malformed = number % MALFORMED_EVERY == 0
        if malformed:
            tally["malformed"] += 1
            request, status = MALFORMED[number // MALFORMED_EVERY % len(MALFORMED)]
        else:
            request, prediction = requests[number % len(requests)]
        started = time.perf_counter()
        try:
            code, body = connection.ask(request)
        except OSError:
            connection.close()
            tally["lost"] += 1
            continue
        if malformed:
            tally["malformed_mistaken"] += code != status
            continue
        milliseconds.append((time.perf_counter() - started) * 1e3)
        answer = json.loads(body)["predictions"][0] if code == 200 else {}
        tally["wrong"] += answer != prediction
        tiers.update([answer["tier"]] if "tier" in answer else [])
    connection.close()
    return {"ms": [round(value, 4) for value in milliseconds], "tiers": tiers, **tally}


if __name__ == "__main__":
    predictions = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    print(json.dumps(ask_all(int(sys.argv[1]), predictions, int(sys.argv[3]), int(sys.argv[4]))))
