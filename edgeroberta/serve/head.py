"""What is refused of a request's head: what the parser lets through, and what this server does not do.

The parser (llhttp, by httptools) is strict where leniency lets two programs disagree on where a request ends
(RFC 9112, sections 2.2, 5, 6 and 11.2): line ends, spaces before a colon, folding, several lengths.
"""

from __future__ import annotations

from starlette.types import Scope

from edgeroberta.serve.refusal import Refusal
from edgeroberta.serve.settings import Settings

_MOST_HEADERS = 100
# What follows is not known to be a request, or is more than would be read.
_CLOSE = {"Connection": "close"}


def check(scope: Scope, settings: Settings) -> None:
    """Refuse what can be refused before the body has come; the connection is closed then."""
    version, headers = scope["http_version"], scope["headers"]
    if version not in ("1.1", "1.0"):
        _refuse(505, "http-version", f"HTTP/{version} is not spoken here", "request line", "use HTTP/1.1")
    size = len(scope["raw_path"]) + len(scope["query_string"])
    size += sum(len(name) + len(value) + len(": \r\n") for name, value in headers)
    if size > settings.max_head_bytes or len(headers) > _MOST_HEADERS:
        limits = f"{_MOST_HEADERS} headers or {settings.max_head_bytes} bytes"
        _refuse(431, "head-too-large", f"the head has more than {limits}", "head")
    values = dict(headers)
    if len(values) < len(headers):
        names = [name for name, _ in headers]
        for name in (b"host", b"content-type"):
            if names.count(name) > 1:
                _refuse(400, "malformed-request", "given more than once", name.decode().title())
    if version == "1.1" and b"host" not in values:
        _refuse(400, "malformed-request", "the header is missing", "Host")
    if values.get(b"expect", b"100-continue").lower() != b"100-continue":
        _refuse(417, "expectation-failed", "the only expectation met here is 100-continue", "Expect")
    # A server may insist on a length (RFC 9112, section 6.3); what is limited is known at once then.
    if b"transfer-encoding" in values:
        what = "bodies in pieces are not read here"
        _refuse(411, "length-required", what, "Transfer-Encoding", "send Content-Length")
    if b"content-length" not in values and scope["method"] == "POST":
        _refuse(411, "length-required", "the header is missing", "Content-Length")
    if int(values.get(b"content-length", b"0")) > settings.max_bytes:
        what = f"a body of more than {settings.max_bytes} bytes"
        _refuse(413, "body-too-large", what, "Content-Length", "send the texts in several requests")


def _refuse(status: int, code: str, message: str, where: str, hint: str | None = None) -> None:
    raise Refusal(status, code, message, where=where, hint=hint, headers=_CLOSE)
