"""A full or unwritable disk in words, also where a library calls it something else."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError, EngineError

#: Bytes below which a disk is full, whatever a library says of it.
ROOM = 1 << 16

_FULL = "no space left on the disk"
_SAID = {
    errno.ENOSPC: _FULL,
    errno.EFBIG: "a file would be larger than this disk, or a limit of this process, allows",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
}


@contextlib.contextmanager
def told(place: Path) -> Iterator[None]:
    """Put a full or unwritable disk into words, as an EdgeRobertaError; what is finished stays."""
    try:
        yield
    except Exception as error:
        what = _SAID.get(error.errno or 0) if isinstance(error, OSError) else None
        own = isinstance(error, EdgeRobertaError) and not isinstance(error, EngineError)
        if what is None and not own and _is_full(place, error):
            what = _FULL
        if what is None:
            raise
        raise EdgeRobertaError(
            what,
            where=str(getattr(error, "filename", None) or place),
            hint="make room or name another folder with --work and -o; the same command then resumes",
        ) from error


def _is_full(place: Path, error: Exception) -> bool:
    """Tell whether what a library calls by another name is a full disk.

    torch (2.13) raises ``RuntimeError: unexpected pos 117056 vs 116948``, OpenVINO (2026.4) says ``iostream
    error``, and both leave their file; safetensors (0.8) has an error of its own with the system's words,
    numpy an OSError without a number.
    """
    if any(words in str(error) for words in ("os error 28", os.strerror(errno.ENOSPC))):
        return True
    there = next(each for each in (place, *place.resolve().parents) if each.exists())
    found = os.statvfs(there)
    return found.f_bavail * found.f_frsize < ROOM
