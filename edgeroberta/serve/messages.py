"""HTTP/1.1 messages as bytes: heads are read strictly, answers are laid out. No input or output here.

Strict where leniency lets two programs disagree on where a request ends (RFC 9112, sections 2.2, 5, 6
and 11.2): a line ends in CRLF, a name is followed by its colon at once, one Content-Length, no folding.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any

JSON = "application/json; charset=utf-8"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/\d\.\d")
# Control characters other than tab; a bare CR or LF among them.
_FORBIDDEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MOST_HEADERS = 100
# A length of more digits is above every limit, and is not worth turning into a number.
_MOST_DIGITS = 15


class Refusal(Exception):  # noqa: N818 (it is an answer to a client, not an error of this program)
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        what: What is wrong, in one sentence.
        where: The header or field that is wrong.
        hint: What to do instead.
        headers: Further headers of the answer.
        close: True when it is unknown where the next request begins.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.where = where
        self.hint = hint
        self.headers = dict(headers or {})
        self.close = close

    def answer(self) -> Answer:
        """Return what is sent: ``{"error": {"what": …, "where": …, "hint": …}}``."""
        error = {"what": self.what, "where": self.where, "hint": self.hint}
        return Answer(self.status, to_json({"error": error}), headers=self.headers)


@dataclass(frozen=True)
class Answer:
    """A status, a body, and headers beyond those that every answer has."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self, *, head_only: bool, close: bool) -> bytes:
        """Lay the answer out.

        Args:
            head_only: True for an answer to HEAD: the headers of the whole, without the body.
            close: True when the connection ends after it.
        """
        lines = [
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"Date: {_date(int(time.time()))}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            "Cache-Control: no-store",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        if close:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if head_only else head + self.body


@dataclass(frozen=True)
class Head:
    """The line and the headers of a request.

    Attributes:
        method: As written; methods are case-sensitive.
        path: Without the query.
        headers: Lower-case name to value; of a name given several times, the values with commas.
        length: Bytes of the body.
        keep_alive: True when the client may send another request.
        expects_continue: True when the client waits for a word before it sends the body.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    length: int
    keep_alive: bool
    expects_continue: bool


def to_json(value: Any) -> bytes:
    """Serialize the body of an answer."""
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8")


def head_end(buffer: bytearray, limit: int) -> int | None:
    """Find where a request's head ends.

    Args:
        buffer: What has come so far.
        limit: Most bytes of a head.

    Returns:
        The number of its bytes, or None while it is not complete.

    Raises:
        Refusal: It is too long, or its lines end in a bare LF.
    """
    end = buffer.find(b"\r\n\r\n", 0, limit)
    bare = buffer.find(b"\n\n", 0, limit if end < 0 else end)
    if bare >= 0:
        raise Refusal(400, "lines end in LF; in HTTP they end in CRLF", where="head", close=True)
    if end >= 0:
        return end + 4
    if len(buffer) >= limit:
        raise Refusal(431, f"the line and headers are longer than {limit} bytes", where="head", close=True)
    return None


def parse_head(data: bytes) -> Head:
    """Read a request's head.

    Args:
        data: The head, with the empty line that ends it.

    Returns:
        The head.

    Raises:
        Refusal: It is malformed, or asks for something that this server does not do. The connection is
            to be closed then, since where the body ends is not known.
    """
    first, *lines = data[:-4].decode("latin-1").split("\r\n")
    method, path, version = _request_line(first)
    headers = _headers(lines)
    if version == "HTTP/1.1" and "host" not in headers:
        raise Refusal(400, "the header is missing", where="Host", close=True)
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    keep_alive = version == "HTTP/1.1" and "close" not in options
    return Head(method, path, headers, _length(method, headers), keep_alive, _expectation(version, headers))


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not _TOKEN.fullmatch(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise Refusal(400, "not a request line of HTTP/1.1", where="request line", close=True)
    method, target, version = parts
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise Refusal(505, f"{version} is not spoken here", hint="use HTTP/1.1", close=True)
    if target.lower().startswith("http://"):  # the form that proxies are sent
        target = "/" + target[len("http://") :].partition("/")[2]
    if not target.startswith("/") or _FORBIDDEN.search(target):
        raise Refusal(400, "not a path", where="request line", close=True)
    return method, target.partition("?")[0], version


def _headers(lines: list[str]) -> dict[str, str]:
    if len(lines) > _MOST_HEADERS:
        raise Refusal(431, f"more than {_MOST_HEADERS} headers", where="head", close=True)
    headers: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        # Also refuses folded lines and spaces before the colon: neither fits a token.
        if not colon or not _TOKEN.fullmatch(name) or _FORBIDDEN.search(value):
            raise Refusal(400, "malformed", where=f"header {number}", close=True)
        name, value = name.lower(), value.strip(" \t")
        if name in headers and name in ("host", "content-length", "content-type", "transfer-encoding"):
            raise Refusal(400, "given more than once", where=name.title(), close=True)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _length(method: str, headers: Mapping[str, str]) -> int:
    stated = headers.get("content-length")
    if (coding := headers.get("transfer-encoding")) is not None:
        if stated is not None:
            raise Refusal(400, "both this and Content-Length", where="Transfer-Encoding", close=True)
        # A server may insist on a length (RFC 9112, section 6.3); what is limited is known at once then.
        status = 411 if coding.lower() == "chunked" else 501
        raise Refusal(
            status,
            "bodies in pieces are not read here",
            where="Transfer-Encoding",
            hint="send Content-Length",
            close=True,
        )
    if stated is None:
        if method == "POST":
            raise Refusal(411, "the header is missing", where="Content-Length", close=True)
        return 0
    if not (stated.isascii() and stated.isdigit()):
        raise Refusal(400, "not a number of bytes", where="Content-Length", close=True)
    return int(stated) if len(stated) <= _MOST_DIGITS else 10**_MOST_DIGITS


def _expectation(version: str, headers: Mapping[str, str]) -> bool:
    expected = headers.get("expect")
    if expected is None or version == "HTTP/1.0":
        return False
    if expected.lower() != "100-continue":
        raise Refusal(417, "the only expectation met here is 100-continue", where="Expect", close=True)
    return True


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
