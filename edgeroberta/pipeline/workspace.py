"""The work folder of a run: finished artifacts, unfinished ones, and the lock.

::

    out.work/
      work.json                       says that the folder is ours
      lock                            held while a run is going on
      02-quantize-3fa8…/              a finished artifact
      .partial-03-build-91c2…/        one that was begun: output/ is started over, scratch/ is kept
      per_stage/                      what was measured of artifacts, see evaluation/per_stage/store.py
      teacher/                        what teachers say of all texts, see training/teacher.py
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError, EngineError, UsageError
from edgeroberta.storage import artifact, jsontext
from edgeroberta.storage.artifact import Artifact, Kind, Lineage

SCHEMA_VERSION = 1
MARKER = "work.json"
LOCK = "lock"
PARTIAL = ".partial-"
PER_STAGE = "per_stage"
TEACHER = "teacher"
#: Bytes of teacher outputs that are kept once a run is through, for the next one.
MOST_KEPT = 256_000_000
#: What a run that is killed while it writes the marker leaves.
_TEMPORARY = re.compile(rf"\.{re.escape(MARKER)}\.[0-9a-f]{{8}}\.tmp")

logger = logging.getLogger(__name__)


class Workspace:
    """A work folder that this run may write to. ``path``: the folder; made if it does not exist."""

    def __init__(self, path: Path) -> None:
        check(path)
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MARKER).is_file():
            artifact.write_json(path / MARKER, {"kind": "edgeroberta-work", "schema_version": SCHEMA_VERSION})
        self.path = path

    @contextlib.contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder for one run; the system frees it when the process dies, however it dies."""
        # flock, not a POSIX record lock: that one would let the same process in twice, and would be gone
        # once any handle of the file is closed. Children do not inherit the handle unless they are forks.
        with (self.path / LOCK).open("a+") as handle:
            while not _acquire(handle.fileno()):
                if not wait:
                    handle.seek(0)
                    process = handle.read().strip() or "unknown"
                    raise EdgeRobertaError(
                        f"another run (process {process}) is using this work folder",
                        where=str(self.path),
                        hint="wait for it, or give this run its own folder with --work",
                    )
                time.sleep(0.5)
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def find(self, name: str, key: str) -> Artifact | None:
        """Return the finished artifact ``name`` if it is there and whole.

        One that was changed or is unreadable is set aside, so that its stage runs again: what changed it
        may be a file of the user's.
        """
        path = self.path / name
        if not path.is_dir():
            return None
        found = reusable_artifact(path, key)
        if found is None:
            aside = next(each for each in _names(self.path / f"changed-{name}") if not each.exists())
            path.replace(aside)
            logger.warning("it is now %s; delete it unless something of yours is in there", aside)
        return found

    def begin(self, name: str) -> Path:
        """Make the folder where the artifact ``name`` is written: ``output`` empty, ``scratch`` kept."""
        partial = self.partial(name)
        shutil.rmtree(partial / "output", ignore_errors=True)
        (partial / "output").mkdir(parents=True)
        (partial / "scratch").mkdir(exist_ok=True)
        return partial

    def partial(self, name: str) -> Path:
        """Return where the unfinished artifact ``name`` lives."""
        return self.path / f"{PARTIAL}{name}"

    def finish(self, name: str, kind: Kind, lineage: Lineage) -> Artifact:
        """Seal the artifact that was begun as ``name`` and give it its final name."""
        partial = self.partial(name)
        done = artifact.finish(partial / "output", kind, lineage, self.path / name)
        shutil.rmtree(partial)
        return done

    def tidy(self, names: Sequence[str]) -> None:
        """Remove what killed runs have left, and large outputs of teachers, once a run is through.

        Unfinished stages of other recipes stay, to be resumed.
        """
        for name in names:
            if self.partial(name).is_dir():
                shutil.rmtree(self.partial(name))
        if _size(self.path / TEACHER) > MOST_KEPT:
            shutil.rmtree(self.path / TEACHER)
        for leftover in self.path.iterdir():
            if _TEMPORARY.fullmatch(leftover.name):
                leftover.unlink()


def reusable_artifact(path: Path, key: str) -> Artifact | None:
    """Return the finished artifact at ``path`` if it is whole and was made for ``key``; change nothing."""
    try:
        found = artifact.load(path)
    except EdgeRobertaError as error:
        logger.warning("not reused: %s", error)
        return None
    if found.lineage.key != key or not artifact.verify(found):
        logger.warning("not reused: %s was changed after it was finished", path)
        return None
    return found


def check(path: Path) -> None:
    """Refuse a folder that holds something else; nothing is ever deleted in such a folder."""
    if not path.exists():
        return
    hint = "choose another folder with --work"
    if not path.is_dir():
        raise UsageError("a file, where a work folder is needed", where=str(path), hint=hint)
    marker = path / MARKER
    if not marker.is_file():
        # A run that was killed before it wrote the marker leaves its temporary file at most.
        if not all(_TEMPORARY.fullmatch(item.name) for item in path.iterdir()):
            raise UsageError("not empty, and not a work folder of edgeroberta", where=str(path), hint=hint)
        return
    try:
        version = int(jsontext.loads(marker.read_bytes())["schema_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"not a work folder of edgeroberta ({error})", where=str(marker), hint=hint
        ) from error
    if version > SCHEMA_VERSION:
        raise UsageError(
            f"written by a newer version (schema {version}, this one reads {SCHEMA_VERSION})",
            where=str(marker),
            hint=hint,
        )


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder, 0 where there is none."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _names(path: Path) -> Iterator[Path]:
    """Yield a path, and then the same with 2, 3, … at its end."""
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


def _acquire(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        logger.warning("this file system has no locks (%s): a second run here would not be refused", error)
    return True


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
def disk_errors(place: Path) -> Iterator[None]:
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
