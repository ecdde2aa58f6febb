"""The work folder of a run: finished artifacts, unfinished ones, and the lock.

::

    out.work/
      work.json                       says that the folder is ours
      lock                            held while a run is going on
      02-quantize-3fa8…/              a finished artifact
      .partial-03-build-91c2…/        one that was begun: output/ is started over, scratch/ is kept
      ledger/                         what was measured of artifacts, see edgeroberta/ledger/store.py
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeroberta import artifact
from edgeroberta.artifact import Artifact, Kind, Lineage
from edgeroberta.errors import EdgeRobertaError, UsageError

SCHEMA_VERSION = 1
MARKER = "work.json"
LOCK = "lock"
PARTIAL = ".partial-"
LEDGER = "ledger"

logger = logging.getLogger(__name__)


class Workspace:
    """A work folder that this run may write to.

    Args:
        path: The folder; made if it does not exist.

    Raises:
        UsageError: It holds files of something else.
    """

    def __init__(self, path: Path) -> None:
        check(path)
        path.mkdir(parents=True, exist_ok=True)
        if not (path / MARKER).is_file():
            artifact.write_json(path / MARKER, {"kind": "edgeroberta-work", "schema_version": SCHEMA_VERSION})
        self.path = path

    @contextlib.contextmanager
    def lock(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the folder for one run; the system frees it when the process dies, however it dies.

        Args:
            wait: Wait for the other run instead of refusing.

        Raises:
            EdgeRobertaError: Another run holds it.
        """
        # A POSIX record lock: unlike flock(), it is not inherited by worker processes that outlive us.
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

        One that is damaged or unreadable is said to be, and removed, so that its stage runs again.
        """
        path = self.path / name
        if not path.is_dir():
            return None
        found = peek(path, key)
        if found is None:
            discard(path)
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
        discard(partial)
        return done

    def tidy(self, names: Sequence[str]) -> None:
        """Remove what killed runs have left; unfinished stages of other recipes stay, to be resumed.

        Args:
            names: The artifacts of the run that is through.
        """
        done = {self.partial(name) for name in names}
        for leftover in sorted(self.path.glob(".*")):
            if leftover in done or not leftover.name.startswith(PARTIAL):
                discard(leftover)


def peek(path: Path, key: str) -> Artifact | None:
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
    """Refuse a folder that holds something else; nothing is ever deleted in such a folder.

    Raises:
        UsageError: It is a file, or it has files and is no work folder, or a newer version made it.
    """
    if not path.exists():
        return
    hint = "choose another folder with --work"
    if not path.is_dir():
        raise UsageError("a file, where a work folder is needed", where=str(path), hint=hint)
    marker = path / MARKER
    if not marker.is_file():
        # A run that was killed before it wrote the marker leaves its temporary file at most.
        if any(not item.name.startswith(f".{MARKER}.") for item in path.iterdir()):
            raise UsageError("not empty, and not a work folder of edgeroberta", where=str(path), hint=hint)
        return
    try:
        version = int(json.loads(marker.read_text(encoding="utf-8"))["schema_version"])
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


def discard(path: Path) -> None:
    """Delete a file or folder of ours; the folder first gets a name that nothing reads."""
    if path.is_dir() and not path.name.startswith("."):
        aside = path.with_name(f".discard-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path = path.replace(aside)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _acquire(handle: int) -> bool:
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # some systems say EACCES, not EAGAIN, when another process has it
        return False
    return True
