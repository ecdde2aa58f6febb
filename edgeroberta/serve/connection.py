"""One connection: bytes in, requests one after the other, bytes out; every wait has an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, cast

from edgeroberta.serve.messages import CONTINUE, Answer, Head, Refusal, head_end, parse_head
from edgeroberta.serve.service import PREDICT

if TYPE_CHECKING:
    from edgeroberta.serve.pool import Job
    from edgeroberta.serve.service import Service

# After an answer to a request whose body was not read, what still comes is thrown away for so long:
# closing at once would reset the connection, and the client might never see the answer (RFC 9112, 9.6).
_DRAIN_SECONDS = 2.0
_DRAIN_BYTES = 8 << 20


class Phase(Enum):
    """What a connection is waiting for."""

    NEW = "nothing yet"
    IDLE = "a request"
    READING = "the rest of a request"
    ANSWERING = "a worker"
    BLOCKED = "the client to read its answers"
    DRAINING = "the client to close"
    CLOSING = "the client to read its last answer"


class Connection(asyncio.Protocol):
    """Reads requests and answers them in order; a client may send ahead, as far as a buffer goes.

    Args:
        service: What answers.
        open_connections: Where this connection keeps itself while it is open.
    """

    def __init__(self, service: Service, open_connections: set[Connection]) -> None:
        self._service = service
        self._settings = service.settings
        self._open = open_connections
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._head: Head | None = None
        self._job: Job | None = None
        self._phase = Phase.NEW
        self._timer: asyncio.TimerHandle | None = None
        self._blocked = False  # the client does not read its answers
        self._ended = False  # the client sends nothing more
        self._closing = False
        self._drained = 0
        #: What a connection may spend in each phase, and what happens then.
        self._ends: dict[Phase, tuple[float, Callable[[], None]]] = {
            Phase.IDLE: (self._settings.idle_timeout, self._close),
            Phase.READING: (self._settings.read_timeout, self._too_slow),
            Phase.ANSWERING: (self._settings.timeout, self._timed_out),
            Phase.BLOCKED: (self._settings.read_timeout, self.abort),
            Phase.DRAINING: (_DRAIN_SECONDS, self._drained_enough),
            Phase.CLOSING: (self._settings.read_timeout, self.abort),
        }

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or say that there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._open.add(self)
        self._service.connections = len(self._open)
        if len(self._open) > self._settings.connections:
            self._service.metrics.rejected["connections"] += 1
            what = f"{self._settings.connections} connections are open already"
            self._refuse(Refusal(503, what, headers={"Retry-After": "1"}, close=True))
        else:
            self._enter(Phase.IDLE)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget everything, the request under way included."""
        self._closing = True
        self._open.discard(self)
        self._service.connections = len(self._open)
        self._stop_timer()
        self._ends.clear()  # its functions hold this object, which the collector need not untangle then
        self._buffer.clear()
        self._abandon()

    def data_received(self, data: bytes) -> None:
        """Take what came; answer as many requests as are complete."""
        if self._closing:
            self._drained += len(data)
            if self._drained > _DRAIN_BYTES:
                self.abort()
            return
        self._buffer += data
        if self._job is not None or self._blocked:
            # One request ahead is enough; the rest waits in the client's own buffer.
            if len(self._buffer) > self._settings.max_head_bytes:
                self._transport.pause_reading()
            return
        self._advance()

    def eof_received(self) -> bool:
        """Keep the connection for the answer under way, if there is one."""
        self._ended = True
        return self._job is not None and not self._closing

    def pause_writing(self) -> None:
        """Take no further request while the client does not read the answers to its former ones."""
        self._blocked = True
        self._enter(Phase.BLOCKED)

    def resume_writing(self) -> None:
        """Go on where it was left."""
        self._blocked = False
        if not self._closing and self._job is None:
            self._advance()

    @property
    def unfinished(self) -> bool:
        """True while a request is being read or answered, or its answer is on its way out."""
        pending = self._job is not None or self._head is not None or bool(self._buffer)
        return pending or self._transport.get_write_buffer_size() > 0

    def stop(self) -> None:
        """Close if nothing is under way; else after the next answer."""
        if not self.unfinished:
            self._close()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def _advance(self) -> None:
        """Answer what is complete, until a request has to wait for its worker or for more bytes."""
        self._transport.resume_reading()
        # A transport that failed in a write says so only later, by connection_lost.
        while self._job is None and not (self._blocked or self._closing or self._transport.is_closing()):
            try:
                if not self._read_head() or not self._answer_if_complete():
                    break
            except Refusal as refusal:
                self._refuse(refusal)
        if self._ended and self._job is None and not self._closing:
            self._close()

    def _read_head(self) -> bool:
        """Take the head of the next request off the buffer.

        Returns:
            False while it is not complete.

        Raises:
            Refusal: It is refused.
        """
        if self._head is not None:
            return True
        while self._buffer.startswith(b"\r\n"):  # some clients end a body with one too many
            del self._buffer[:2]
        self._enter(Phase.READING if self._buffer else Phase.IDLE)
        end = head_end(self._buffer, self._settings.max_head_bytes)
        if end is None:
            return False
        data = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._head = head = parse_head(data)
        complete = len(self._buffer) >= head.length
        try:
            self._service.check(head)
        except Refusal as refusal:
            if complete and not refusal.close:
                del self._buffer[: head.length]
            else:
                refusal.close = True
            raise
        if head.expects_continue and not complete:
            self._transport.write(CONTINUE)
        return True

    def _answer_if_complete(self) -> bool:
        """Take the body off the buffer and answer, or have a worker do so.

        Returns:
            False while the body is not complete.

        Raises:
            Refusal: The request is refused.
        """
        head = self._head
        if head is None or len(self._buffer) < head.length:
            return False
        body = bytes(self._buffer[: head.length])
        del self._buffer[: head.length]
        if head.path == PREDICT:
            self._job = self._service.predict(body, self._answered)
            self._enter(Phase.ANSWERING)
        else:
            self._send(self._service.look_up(head.path))
        return True

    def _answered(self, answer: Answer) -> None:
        self._job = None
        self._send(answer)
        if not self._closing:
            self._advance()

    def _timed_out(self) -> None:
        self._abandon()
        what = f"no answer within {self._settings.timeout:g} s"
        self._answered(Refusal(504, what, hint="send fewer or shorter texts").answer())

    def _too_slow(self) -> None:
        what = f"the request was not complete within {self._settings.read_timeout:g} s"
        self._refuse(Refusal(408, what, close=True))

    def _abandon(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            self._service.abandon(job)

    def _refuse(self, refusal: Refusal) -> None:
        self._send(refusal.answer(), close=refusal.close)

    def _send(self, answer: Answer, *, close: bool = False) -> None:
        """Send an answer; close after it, or be ready for the next request."""
        head, self._head = self._head, None
        # Also the end of the phase READING: what is next in the buffer gets time of its own.
        self._phase = Phase.NEW
        close = close or self._service.stopping or head is None or not head.keep_alive
        self._service.count(head, answer)
        head_only = head is not None and head.method == "HEAD"
        self._transport.write(answer.to_bytes(head_only=head_only, close=close))
        if close:
            self._drain()

    def _drain(self) -> None:
        """End the sending half; close when the client does, or after a while."""
        self._closing = True
        self._buffer.clear()
        self._transport.resume_reading()
        if self._ended or not self._transport.can_write_eof():
            self._close()
            return
        self._transport.write_eof()
        self._enter(Phase.DRAINING)

    def _drained_enough(self) -> None:
        """Reset the connection, unless the answer itself is still on its way to a client that is slow."""
        if self._transport.get_write_buffer_size() > 0:
            self._close()
        else:
            self.abort()

    def _close(self) -> None:
        self._closing = True
        self._stop_timer()
        self._transport.close()
        # Closing waits until the client has read what is left, and a client may never do so.
        if self._transport.get_write_buffer_size() > 0:
            self._enter(Phase.CLOSING)

    def _enter(self, phase: Phase) -> None:
        """Begin a phase, and its time with it; a phase that goes on keeps the time it has."""
        if phase is not self._phase and self._ends:
            self._stop_timer()
            self._phase = phase
            seconds, then = self._ends[phase]
            self._timer = self._loop.call_later(seconds, then)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
