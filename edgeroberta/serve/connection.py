"""One connection: uvicorn's, with an end to every wait and a bound to everything that is kept."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from edgeroberta.serve.refusal import Refusal

if TYPE_CHECKING:
    from edgeroberta.serve.app import Service

# After a last answer, what still comes is thrown away for so long: closing at once would reset the connection
# while the client sends, and it might never see the answer (RFC 9112, 9.6).
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 8 << 20
# Bytes parsed at once. Requests sent ahead wait as bytes: parsed, each is a dozen objects.
_PIECE = 4096
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection(HttpToolsProtocol):
    """Reads requests and answers them in order; a client may send ahead, as far as a buffer goes.

    Made by the server for each connection; the limits are those of the service in uvicorn's ``config``.
    """

    def __init__(self, config: Any, *arguments: Any) -> None:
        super().__init__(config, *arguments)
        self._service = cast("Service", config.app)
        self._settings = self._service.settings
        self.ahead = bytearray()  # what came and is not parsed
        self.closing = False
        self._reading = False  # a request is here in part
        self._head_bytes: int | None = None  # what is here of its head; None when that is complete
        self._piece = b""  # what the parser is given
        self._beside = 0  # bytes of a body that the parser leaves to the other protocol, not here yet
        self._refusal: Refusal | None = None  # to be sent after the answers under way
        self._lingered = 0
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or say that there are too many."""
        self.socket = cast("asyncio.Transport", transport)
        self._answers = _Transport(self)
        super().connection_made(cast("asyncio.Transport", self._answers))
        self.flow = _Flow(self)
        most = self._settings.connections
        if len(self.connections) > most:
            self._service.metrics.rejected["connections"].inc()
            what = f"{most} connections are open already"
            self._refuse(Refusal(503, "too-many-connections", what, headers={"Retry-After": "1"}))
        else:
            self._wait(self._settings.idle_timeout, self._close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything, the request under way included."""
        self.closing = True
        self.ahead.clear()
        self._stop_timer()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came; begin what is complete."""
        if self.closing:
            self._lingered += len(data)
            if self._lingered > _LINGER_BYTES:
                self.socket.abort()
        else:
            self.ahead += data
            self._parse()

    def eof_received(self) -> None:
        """Take a client that sends nothing more for one that has gone."""
        self._close()

    def pause_writing(self) -> None:
        """Give a client that does not read its answers some time."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self._settings.read_timeout, self.socket.abort)

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def on_message_begin(self) -> None:
        """Begin a request, and its time with it; bytes that keep coming do not prolong it."""
        super().on_message_begin()
        self._reading = True
        self._head_bytes = 0
        self._wait(self._settings.read_timeout, self._too_slow)

    def on_headers_complete(self) -> None:
        """Hand the request on; a server that stops takes no further one."""
        super().on_headers_complete()
        self._head_bytes = None
        if self.parser.should_upgrade():
            self._beside = int(dict(self.headers).get(b"content-length", b"0"))
        if self._service.stopping:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """End the time for reading; how long an answer may take is the service's matter."""
        if self._beside:
            return
        super().on_message_complete()
        self._reading = False
        self._pause_between_requests()

    def on_response_complete(self) -> None:
        """Go on with what was sent ahead."""
        self._answers.flush()
        super().on_response_complete()
        if not self.closing:
            self._pause_between_requests()
            self._parse()
            self.flow.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refusal = Refusal(400, "malformed-request", "not a request of HTTP/1.1", where="head")

    def _unsupported_upgrade_warning(self) -> None:
        """Stay with HTTP/1.1 (RFC 9110, 7.8): what follows the head is its body, then another request."""
        upgrade = sys.exc_info()[1]
        if upgrade is not None:
            self.ahead[:0] = self._piece[upgrade.args[0] :]

    def shutdown(self) -> None:
        """Close if nothing is under way; else after the next answer."""
        if not self.unfinished:
            self._close()
        elif self.cycle is not None:
            self.cycle.keep_alive = False

    @property
    def unfinished(self) -> bool:
        """True while a request is being read or answered, or its answer is on its way out."""
        pending = self._reading or self._answering or bool(self.ahead)
        return (pending and not self.closing) or self.socket.get_write_buffer_size() > 0

    def linger(self) -> None:
        """End the sending half; close when the client does, or after a while."""
        if self.closing:
            return
        self.closing = True
        self.ahead.clear()
        if self._service.stopping or not self.socket.can_write_eof():
            self._close()
            return
        self.socket.resume_reading()
        self.socket.write_eof()
        self._wait(_LINGER_SECONDS, self._lingered_enough)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _parse(self) -> None:
        """Have the parser read what came, as long as at most one request waits for the one before it."""
        while self.ahead and not (self.pipeline or self._refusal or self.closing):
            size = min(_PIECE, self._beside or _PIECE)
            self._piece = piece = bytes(self.ahead[:size])
            del self.ahead[:size]
            if self._beside:
                self._beside -= len(piece)
                self.on_body(piece)
                if not self._beside:
                    self.on_message_complete()
                continue
            super().data_received(piece)
            if self._head_bytes is not None:
                self._head_bytes += len(piece)
                # One piece more, since it may begin with the end of another request.
                if self._head_bytes > self._settings.max_head_bytes + _PIECE:
                    self._refusal = Refusal(431, "head-too-large", "the head has no end", where="head")
        if self.ahead:
            self.flow.pause_reading()
        if self._refusal is not None and not self._answering:
            self._refuse(self._refusal)

    def _too_slow(self) -> None:
        what = f"the request was not complete within {self._settings.read_timeout:g} s"
        late = Refusal(408, "read-timeout", what)
        if self._head_bytes is not None:
            self._refusal = late
            self._parse()
        elif self.pipeline or self.cycle.response_started:  # another's turn, or its own answer is sent
            self._close()
        else:
            self._refuse(late)

    def _refuse(self, refusal: Refusal) -> None:
        """Send an answer of this connection's own, and close."""
        self._service.count("", refusal.status_code)
        body = refusal.body()
        headers = {
            **{name.decode(): value.decode() for name, value in self.server_state.default_headers},
            "Content-Type": "application/json",
            "Content-Length": len(body),
            "Connection": "close",
            **(refusal.headers or {}),
        }
        lines = [f"HTTP/1.1 {refusal.status_code} {HTTPStatus(refusal.status_code).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        self.linger()

    def _close(self) -> None:
        """Close once the client has read what is left, or after a while."""
        self.closing = True
        self.socket.close()
        self._wait(self._settings.read_timeout, self.socket.abort)

    def _lingered_enough(self) -> None:
        """Reset the connection, unless the answer itself is still on its way to a client that is slow."""
        if self.socket.get_write_buffer_size() > 0:
            self._close()
        else:
            self.socket.abort()

    def _pause_between_requests(self) -> None:
        if self._reading:
            return
        self._stop_timer()
        if not self._answering:
            self._wait(self._settings.idle_timeout, self._close)

    def _wait(self, seconds: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Transport:
    """A connection's transport as uvicorn sees it: an answer is one write, and closing it makes it linger."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection.socket, name)

    def write(self, data: bytes) -> None:
        """Send a head together with its body: each call of the system costs as much as a small model."""
        if self._head or data == _CONTINUE:
            self._connection.socket.write(self._head + data)
            self._head = b""
        else:
            self._head = data

    def flush(self) -> None:
        """Send a head that has no body."""
        if self._head:
            self.write(b"")

    def is_closing(self) -> bool:
        return self._connection.closing or self._connection.socket.is_closing()

    def close(self) -> None:
        self.flush()
        self._connection.linger()


class _Flow(FlowControl):
    """Reads no further while something that was sent ahead waits."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection.socket)
        self._connection = connection

    def resume_reading(self) -> None:
        if not self._connection.ahead:
            super().resume_reading()
