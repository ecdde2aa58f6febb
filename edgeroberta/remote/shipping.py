"""Brings files to a device by content hash: only what is missing, and only the rest of what was cut."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import DeviceError, UnreachableError
from edgeroberta.remote.ssh import Connection
from edgeroberta.storage import artifact

_BLOCK = 1 << 18
#: A file that arrives damaged is sent again this often; ssh checks every packet, so once is a lot.
_DAMAGED = 2
_AGAIN = "run the same command again: it goes on where it was"


@dataclass(frozen=True)
class Blob:
    """A file to ship.

    Attributes:
        sha256: Its content.
        size: In bytes.
        source: The file, or the bytes themselves.
    """

    sha256: str
    size: int
    source: Path | bytes

    @classmethod
    def of(cls, source: Path | bytes) -> Blob:
        """Hash a file or bytes."""
        if isinstance(source, bytes):
            return cls(hashlib.sha256(source).hexdigest(), len(source), source)
        return cls(artifact.digest_file(source), source.stat().st_size, source)

    def read(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on.

        Raises:
            EdgeRobertaError: The file is shorter than it was when it was hashed.
        """
        if isinstance(self.source, bytes):
            yield self.source[offset:]
            return
        left = self.size - offset
        with self.source.open("rb") as handle:
            handle.seek(offset)
            while left:
                block = handle.read(min(left, _BLOCK))
                if not block:
                    raise EdgeRobertaError("the file changed while it was sent", where=str(self.source))
                left -= len(block)
                yield block


@dataclass
class Patience:
    """How often a lost connection is tried again.

    Attributes:
        delays: Seconds before each attempt; after the last the error is the user's.
        used: Attempts since something was achieved.
    """

    delays: tuple[float, ...] = (1, 2, 4, 8, 15, 15, 15, 30, 30)
    used: int = field(default=0)

    def reset(self) -> None:
        """Say that something was achieved."""
        self.used = 0

    def wait(self, error: UnreachableError, *, hint: str, stopped: threading.Event) -> None:
        """Wait before the next attempt.

        Args:
            error: Why the last one failed.
            hint: What the user may do when all have failed.
            stopped: Set when the user has given up; ends the wait.

        Raises:
            UnreachableError: It is of no use, all attempts have failed, or the user has given up.
        """
        if not error.transient or stopped.is_set():
            raise error
        if self.used >= len(self.delays):
            raise UnreachableError(error.what, where=str(error.where), hint=hint, transient=True) from error
        if stopped.wait(self.delays[self.used]):
            raise error
        self.used += 1


@dataclass(frozen=True)
class Shipped:
    """What was done.

    Attributes:
        facts: What the device says of itself.
        files: Files that were not there.
        sent: Bytes that went over the connection.
    """

    facts: dict[str, Any]
    files: int
    sent: int


def ship(
    connection: Connection,
    blobs: Mapping[str, Blob],
    *,
    job: str,
    progress: Progress,
    patience: Patience,
) -> Shipped:
    """Bring blobs to the device.

    Args:
        connection: The device.
        blobs: sha256 to blob.
        job: Name of the job they are for, which is spared when old ones are collected.
        progress: Where to report.
        patience: How often to try again; the first contact is tried once.

    Raises:
        DeviceError: The device refuses: a full disk, a folder that is another's.
        UnreachableError: The device is not reached, or no longer.
    """
    sizes = {sha256: blob.size for sha256, blob in blobs.items()}
    before, files, damaged, met, here = connection.sent, 0, 0, False, -1
    while True:
        try:
            answer = connection.call("hello", {"job": job, "blobs": sizes, "check": not met})
            met = True
            missing = _missing(answer, blobs)
            files = max(files, len(missing))
            done = sum(sizes.values()) - sum(sizes[sha256] - at for sha256, at in missing.items())
            if done > here:
                here = done
                patience.reset()
            if not missing:
                return Shipped(_facts(answer), files, connection.sent - before)
            _send(connection, [(blobs[sha256], at) for sha256, at in missing.items()], progress)
        except UnreachableError as error:
            if not met:
                raise
            patience.wait(error, hint=_AGAIN, stopped=connection.stopped)
            progress.line("connection lost, trying again")
        except DeviceError as error:
            damaged += error.kind == "damaged"
            if error.kind not in ("cut", "damaged") or damaged >= _DAMAGED:
                raise
            cut = UnreachableError(error.what, where=str(error.where), hint=None, transient=True)
            patience.wait(cut, hint=_AGAIN, stopped=connection.stopped)


def _facts(answer: Mapping[str, Any]) -> dict[str, Any]:
    facts = answer.get("facts")
    if not isinstance(facts, dict):
        raise EdgeRobertaError("the device sent something that is not an answer", where="facts")
    return facts


def _missing(answer: Mapping[str, Any], blobs: Mapping[str, Blob]) -> dict[str, int]:
    """Check what the device says is missing: it may only name what it was asked for."""
    given = answer.get("missing")
    if not isinstance(given, dict):
        raise EdgeRobertaError("the device sent something that is not an answer", where="missing")
    for sha256, at in given.items():
        if sha256 not in blobs or type(at) is not int or not 0 <= at <= blobs[sha256].size:
            raise EdgeRobertaError("the device asks for what it was not offered", where="missing")
    return given


def _send(connection: Connection, wanted: list[tuple[Blob, int]], progress: Progress) -> None:
    items = [(blob.sha256, blob.size, at) for blob, at in wanted]
    total = sum(blob.size - at for blob, at in wanted)
    with progress.bar("ship", -(-total // 1000), "kB") as advance:

        def payload() -> Iterator[bytes]:
            sent = shown = 0
            for blob, at in wanted:
                for block in blob.read(at):
                    yield block
                    sent += len(block)
                    advance(sent // 1000 - shown)
                    shown = sent // 1000

        connection.call("receive", {"items": items}, payload=payload())
