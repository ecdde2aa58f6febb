"""The one folder on the device that belongs to us: made, recognised, locked, and cleaned up."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgeroberta.errors import EdgeRobertaError

MARKER = ".edgeroberta-remote"
FOLDERS = ("blobs", "venvs", "jobs", "announced", "cache")
#: Versions before 0.5 had it in place of ``announced``.
FORMER_FOLDER = "visits"
#: Held by those who come and by those who clear the house, and by the one job that measures.
LOCKS = ("use.lock", "measuring.lock")
#: What a full or limited disk says: no space, no quota, a file above the process's limit.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Emit = Callable[[dict[str, Any]], None]


def open_root(name: str) -> Path:
    """Return the folder, made if it is not there; ``~`` is the home folder on the device.

    Raises EdgeRobertaError: it is another's, or holds something else (``device.folder``).
    """
    given = Path(name).expanduser()
    root = Path(os.path.realpath(given))
    if not given.is_absolute():
        raise _not_ours("the folder on the device must be an absolute path or begin with ~", given)
    if root in (home := Path(os.path.realpath(Path.home())), *home.parents):
        raise _not_ours("is the home folder or above it; it is left untouched", root)
    if root.exists() and not root.is_dir():
        raise _not_ours("is a file, a folder is needed", root)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise _not_ours("the folder belongs to another user", root)
    marker = root / MARKER
    if not marker.is_file():
        others = [each for each in root.iterdir() if MARKER not in each.name]
        # Another request may be making it just now; the marker comes before all else.
        if others and not marker.is_file():
            raise _not_ours("not empty, and not a folder of ours; it is left untouched", root)
        write(marker, json.dumps({"kind": "edgeroberta-remote", "schema_version": 1}) + "\n")
    for folder in FOLDERS:
        (root / folder).mkdir(exist_ok=True)
    return root


def _not_ours(what: str, folder: Path) -> EdgeRobertaError:
    hint = 'choose a folder of its own: root = "~/.cache/edgeroberta-remote" in the hosts\' configuration'
    return EdgeRobertaError(what, where=str(folder), hint=hint, code="device.folder")


def remove(root: Path, path: Path) -> None:
    """Delete a file or folder below the root, and nothing else; links are deleted, not followed."""
    real = Path(os.path.realpath(path.parent))
    if real != root and root not in real.parents:
        raise _not_ours("not below our own folder, so it is not deleted", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_all(root: Path) -> None:
    """Delete all that is ours in our folder, and the folder unless another's files are in it."""
    if not (root / MARKER).is_file():
        raise _not_ours("not a folder of ours, so it is not deleted", root)
    for name in (*FOLDERS, *LOCKS, FORMER_FOLDER):
        remove(root, root / name)
    if [each.name for each in root.iterdir()] == [MARKER]:
        (root / MARKER).unlink()
        root.rmdir()


def free_bytes(folder: Path) -> int:
    """Return how much this user may still write in the folder's file system."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def write(file: Path, text: str) -> None:
    """Write a file under a temporary name and rename it."""
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(file)


def take(handle: int, *, wait: bool) -> bool:
    """Lock an open file for this process; without ``wait`` return False when another has it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def locked(file: Path, waiting: Callable[[], None], *, inherited: bool = False) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends.

    ``file``: the lock; it stays, so that nobody locks a file that another is about to delete. ``waiting``:
    called once if another process has it. ``inherited``: processes that are started without closing their
    files hold it as well.
    """
    handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(handle, inherited)
    try:
        if not take(handle, wait=False):
            waiting()
            take(handle, wait=True)
        yield
    finally:
        os.close(handle)


def is_locked(file: Path) -> bool:
    """Tell whether a living process holds the lock."""
    try:
        handle = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        return not take(handle, wait=False)
    finally:
        os.close(handle)
