"""Brings files to a device by content hash: only what is missing, and only the rest of what was cut."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError
from edgeroberta.progress import Progress
from edgeroberta.remote.failures import UnreachableError, answer_error
from edgeroberta.remote.retrying import RetryPolicy
from edgeroberta.remote.ssh import SshConnection
from edgeroberta.storage import artifact

_BLOCK = 1 << 18
#: A file that arrives damaged is sent again this often; ssh checks every packet, so once is a lot.
_DAMAGED = 2
_AGAIN = "run the same command again: the transfer resumes"


@dataclass(frozen=True)
class Blob:
    """A file to ship."""

    sha256: str  # its content
    size: int  # in bytes
    source: Path | bytes  # the file, or the bytes themselves

    @classmethod
    def of(cls, source: Path | bytes) -> Blob:
        """Hash a file or bytes."""
        if isinstance(source, bytes):
            return cls(hashlib.sha256(source).hexdigest(), len(source), source)
        return cls(artifact.digest_file(source), source.stat().st_size, source)

    def read(self, offset: int) -> Iterator[bytes]:
        """Yield the bytes from an offset on; a file that got shorter since it was hashed is an error."""
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


@dataclass(frozen=True)
class DeviceFacts:
    """What a device says of itself before anything is measured."""

    python: str  # version of its own Python
    system: str  # operating system, kernel, machine type
    root: str  # our folder there
    free_bytes: int  # space left in that folder's file system


@dataclass(frozen=True)
class _Hello:
    facts: DeviceFacts
    missing: dict[str, int]


@dataclass(frozen=True)
class TransferResult:
    """What was done: files that were not there, and bytes that went over the connection."""

    facts: DeviceFacts
    files: int
    sent: int


def ship(
    connection: SshConnection, blobs: Mapping[str, Blob], *, job: str, progress: Progress, retry: RetryPolicy
) -> TransferResult:
    """Bring blobs to the device.

    ``blobs``: sha256 to blob. ``job``: name of the job they are for, which is spared when old ones are
    collected. ``retry``: how often to try again; the first contact is tried once.
    """
    sizes = {sha256: blob.size for sha256, blob in blobs.items()}
    before, files, damaged, reached, best = connection.sent, 0, 0, False, -1
    while True:
        try:
            request = {"job": job, "blobs": sizes, "check": not reached}
            answer = connection.ask(_Hello, "hello", request)
            reached = True
            missing = answer.missing
            # It may only name what it was offered.
            if not all(name in sizes and 0 <= at <= sizes[name] for name, at in missing.items()):
                raise answer_error("it asks for what it was not offered", host=connection.host.name)
            files = max(files, len(missing))
            done = sum(sizes.values()) - sum(sizes[sha256] - at for sha256, at in missing.items())
            if done > best:
                best = done
                retry.reset()
            if not missing:
                return TransferResult(answer.facts, files, connection.sent - before)
            _send(connection, [(blobs[sha256], at) for sha256, at in missing.items()], progress)
        except UnreachableError as error:
            if not reached:
                raise
            retry.wait(error, hint=_AGAIN, stopped=connection.stopped)
            progress.line("connection lost, retrying")
        except EdgeRobertaError as error:
            damaged += error.code == "device.transfer-damaged"
            cut = error.code in ("device.transfer-cut", "device.transfer-damaged")
            if not cut or damaged >= _DAMAGED:
                raise
            lost = UnreachableError(error.what, where=error.where, hint=None, transient=True)
            retry.wait(lost, hint=_AGAIN, stopped=connection.stopped)


def _send(connection: SshConnection, wanted: list[tuple[Blob, int]], progress: Progress) -> None:
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
