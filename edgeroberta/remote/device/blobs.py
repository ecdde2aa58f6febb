"""Files by content hash: what is missing, and how the rest of it comes in over one stream."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from edgeroberta.errors import EdgeRobertaError

from .folder import FULL, Emit, free_bytes, remove, take

#: Space that must be left after shipping: logs, the result, the device's own needs.
SPARE_BYTES = 32 << 20
#: Seconds without a byte after which the connection is taken for dead: where it is not closed but gone,
#: sshd may take hours to notice.
IDLE_SECONDS = 30
#: Seconds to wait for a file that such a process still holds.
LOCK_SECONDS = 40.0
#: Partial files are kept this long, whole ones this long since they were last used.
PART_SECONDS, UNUSED_SECONDS = 7 * 24 * 3600, 30 * 24 * 3600
_BLOCK = 1 << 16
_SHA256 = re.compile(r"[0-9a-f]{64}")


def path_of(root: Path, sha256: str) -> Path:
    """Return where a blob is kept; what is not a sha256 could name another file, and is refused."""
    if not _SHA256.fullmatch(sha256):
        raise EdgeRobertaError(f"{sha256!r} is not a sha256")
    return root / "blobs" / sha256


def check(root: Path, wanted: Mapping[str, int]) -> None:
    """Drop blobs that are no longer what their names say, and note that the others are in use.

    A disk that rots and a program that edits a file in place leave its size; without this every later job
    would fail on it. Reading a bundle takes less than a second.
    """
    for blob in filter(Path.is_file, (path_of(root, sha256) for sha256 in wanted)):
        if _digest(blob) == blob.name:
            os.utime(blob)
        else:
            remove(root, blob)


def collect(root: Path) -> None:
    """Drop partial files and blobs that nobody used for long; jobs have links of their own."""
    now = time.time()
    for file in (root / "blobs").iterdir():
        if not _SHA256.fullmatch(file.name.removesuffix(".part")):
            continue  # not ours
        longest = PART_SECONDS if file.suffix == ".part" else UNUSED_SECONDS
        with contextlib.suppress(FileNotFoundError):  # another request was faster
            if now - file.stat().st_mtime > longest:
                remove(root, file)


def missing(root: Path, wanted: Mapping[str, int]) -> dict[str, int]:
    """Tell which of the wanted blobs (sha256 to size) are not here, and how many bytes of each are."""
    found = {}
    for sha256, size in wanted.items():
        blob = path_of(root, sha256)
        if blob.is_file() and blob.stat().st_size == size:
            continue
        part = _part(blob)
        found[sha256] = min(part.stat().st_size, size) if part.is_file() else 0
    needed = sum(wanted[sha256] - offset for sha256, offset in found.items())
    if needed and needed + SPARE_BYTES > free_bytes(root):
        raise _full(root, needed + SPARE_BYTES)
    return found


def receive(root: Path, items: Sequence[tuple[str, int, int]], stream: BinaryIO, emit: Emit) -> int:
    """Take the missing parts of blobs, one after the other, from a stream.

    A blob is written to ``<sha256>.part``, hashed, and only then given its name. What came before the stream
    broke stays, to be continued. ``items``: sha256, size, and the offset at which the stream begins, per
    blob. Returns how many are whole now.
    """
    signal.signal(signal.SIGALRM, _idle)
    for sha256, size, offset in items:
        blob = path_of(root, sha256)
        part = _part(blob)
        handle = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _lock(handle, part)
            _fill(handle, part, size, offset, stream)
            os.fsync(handle)
            if _digest(part) != sha256:
                part.unlink()
                what = "arrived damaged (wrong sha256)"
                raise EdgeRobertaError(what, where=str(part), code="device.transfer-damaged")
            part.chmod(0o444)
            part.replace(blob)
        except OSError as error:
            if error.errno not in FULL:
                raise
            part.unlink(missing_ok=True)  # a full disk harms the device: better to send it once more
            raise _full(root, size, error) from error
        finally:
            os.close(handle)
        emit({"have": sha256})
    return len(items)


def _part(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.part")


def _lock(handle: int, part: Path) -> None:
    end = time.monotonic() + LOCK_SECONDS
    while not take(handle, wait=False):
        if time.monotonic() > end:
            raise EdgeRobertaError(
                "another workstation is sending this file", where=str(part), hint="run the same command again"
            )
        time.sleep(0.1)


def _fill(handle: int, part: Path, size: int, offset: int, stream: BinaryIO) -> None:
    if os.fstat(handle).st_size < offset:
        raise _cut("less of the file is here than was said", part)
    os.ftruncate(handle, offset)
    os.lseek(handle, offset, os.SEEK_SET)
    left = size - offset
    while left:
        block = _read(stream, min(left, _BLOCK))
        if not block:
            raise _cut("the connection was cut", part)
        left -= len(block)
        view = memoryview(block)
        while view:
            view = view[os.write(handle, view) :]


def _read(stream: BinaryIO, most: int) -> bytes:
    # read1 gives what is there; read would wait for a whole block and lose it if the stream breaks.
    read1 = getattr(stream, "read1", stream.read)
    signal.alarm(IDLE_SECONDS)
    try:
        block: bytes = read1(most)
    finally:
        signal.alarm(0)
    return block


def _idle(number: int, frame: object) -> None:
    raise _cut("no bytes came any more")


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _cut(what: str, part: Path | None = None) -> EdgeRobertaError:
    return EdgeRobertaError(what, where=str(part) if part else None, code="device.transfer-cut")


def _full(root: Path, needed: int, error: OSError | None = None) -> EdgeRobertaError:
    free = free_bytes(root)
    why = f" ({error.strerror})" if error else ""
    return EdgeRobertaError(
        f"not enough disk space on the device{why}: {needed / 1e6:,.0f} MB needed, {free / 1e6:,.0f} MB free",
        where=str(root),
        hint="free some, or put the folder on a larger disk: root = … in the hosts' configuration",
        code="device.disk-full",
    )
