"""Jobs on the device: laid out from blobs, started detached, followed, stopped, removed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from edgeroberta.errors import EdgeRobertaError

from . import blobs, virtualenv
from .folder import LOCKS, Emit, is_locked, locked, open_root, remove, remove_all, take, write
from .runner import EXIT_FILE, LOCK_FILE, LOG_FILE, SPEC_FILE

#: Seconds between two looks at a running job: often enough for people, too seldom to disturb it. The first
#: looks come sooner, since what fails does so at once.
POLL_SECONDS, FIRST_SECONDS = 1.0, 0.1
#: A finished job that nobody came for is kept this long, for the command to be run again.
KEEP_SECONDS = 24 * 3600
#: Seconds that a stopped job gets to end by itself.
GRACE_SECONDS = 5.0
_BEAT = 5
_BLOCK = 1 << 16
USE_LOCK = LOCKS[0]
_ID = re.compile(r"[0-9a-f]{16,64}")
#: A job's folder, or what one is while it is laid out or removed.
_FOLDER = re.compile(r"\.?[0-9a-f]{16,64}(\.[0-9]+\.(tmp|old))*")


def folder_of(root: Path, name: str) -> Path:
    """Return a job's folder."""
    if not _ID.fullmatch(name):
        raise EdgeRobertaError(f"{name!r} is not the name of a job")
    return root / "jobs" / name


def start(root: Path, name: str, spec: Mapping[str, Any], files: Mapping[str, str], program: str) -> str:
    """Start a job, or find the one of that name.

    ``name``: the job; the same name means the same job. ``files``: path in the job's folder to sha256; the
    blobs must be here. Returns ``started``, ``running`` (it was, and still is) or ``finished`` (it was, and
    nobody came for it).
    """
    job = folder_of(root, name)
    if job.is_dir():
        if is_locked(job / LOCK_FILE):
            return "running"
        if (job / EXIT_FILE).is_file():
            return "finished"
        _discard(root, job)
    fresh = job.with_name(f".{name}.{os.getpid()}.tmp")
    fresh.mkdir()
    lock = os.open(fresh / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        take(lock, wait=True)
        _lay_out(root, fresh, files)
        write(fresh / SPEC_FILE, json.dumps({**spec, "root": str(root)}, sort_keys=True) + "\n")
        write(fresh / "program.py", program)
        if not _place(root, fresh, job):
            return "running"
        process = subprocess.Popen(
            [sys.executable, str(job / "program.py"), "-", "run", str(job)],
            cwd=job, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True, pass_fds=[lock],
        )  # fmt: skip
        write(job / "pid", str(process.pid))
        remove(root, root / "announced" / name)
    except BaseException:
        if fresh.exists():
            remove(root, fresh)
        raise
    finally:
        os.close(lock)
    return "started"


def follow(root: Path, name: str, offset: int, emit: Emit) -> Any:
    """Send what a job writes until it ends; one line in seconds, so that a dead connection is noticed.

    ``emit``: takes ``{"at", "lines"}`` and ``{"beat"}``. Returns what the runner wrote at its end; None for a
    job that was killed.
    """
    job = folder_of(root, name)
    for turn in range(1 << 62):
        alive, ended = is_locked(job / LOCK_FILE), (job / EXIT_FILE).is_file()
        # Asked last: a folder that vanishes looks like a job that was killed.
        if not job.is_dir():
            break
        try:
            offset = _tell(job / LOG_FILE, offset, emit, ended=ended or not alive)
            if ended or not alive:
                file = job / EXIT_FILE
                return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        except FileNotFoundError:
            break
        if turn % _BEAT == 0:
            emit({"beat": turn})
        time.sleep(min(POLL_SECONDS, FIRST_SECONDS * (1 + turn)))
    raise _gone(job)


def stop(root: Path, name: str) -> bool:
    """End a job's processes, all of its group, and remove its folder; False where there is none."""
    job = folder_of(root, name)
    end = time.monotonic() + GRACE_SECONDS
    # A start that was cut off continues here: it is to end first.
    while any(map(is_locked, job.parent.glob(f".{name}.*.tmp/{LOCK_FILE}"))) and time.monotonic() < end:
        time.sleep(0.05)
    remove(root, root / "announced" / name)
    if not job.is_dir():
        return False
    end = time.monotonic() + GRACE_SECONDS
    how = signal.SIGTERM
    group = _group(job) if is_locked(job / LOCK_FILE) else None
    # The lock says that it is this job that has the number, not a later process.
    while is_locked(job / LOCK_FILE):
        # It has just ended, or just started and is not written down yet.
        group = _group(job) or group
        _signal(group, how)
        if time.monotonic() > end:
            if how is signal.SIGKILL:
                raise EdgeRobertaError("the job could not be stopped", where=str(job))
            how, end = signal.SIGKILL, end + GRACE_SECONDS
        time.sleep(0.1)
    _signal(group, signal.SIGKILL)  # what its steps have started holds no lock
    _discard(root, job)
    return True


def _group(job: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((job / "pid").read_text())
    return None


def _signal(group: int | None, how: signal.Signals) -> None:
    if group is not None:
        with contextlib.suppress(OSError):
            os.killpg(group, how)


def announce(root: Path, name: str) -> None:
    """Note that a job is about to come: its files must not go before it has begun."""
    # Opened twice, since another may have removed the folder while this one waited.
    with locked(open_root(str(root)) / USE_LOCK, lambda: None):
        (open_root(str(root)) / "announced" / folder_of(root, name).name).touch()


def clean(root: Path, name: str, *, keep: bool) -> bool:
    """Remove a finished job; without ``keep`` also files and environments, unless others use them (False)."""
    job = folder_of(root, name)
    _discard(root, job)
    remove(root, root / "announced" / name)
    with locked(root / USE_LOCK, lambda: None):
        others = any((root / "jobs").iterdir()) or any((root / "announced").iterdir())
        if keep or others:
            return False
        remove_all(root)
        return True


def collect(root: Path, mine: str) -> None:
    """Remove what dead runs left, and files and environments that were not used for long."""
    now = time.time()
    for job in (root / "jobs").iterdir():
        if job.name == mine or not _FOLDER.fullmatch(job.name) or is_locked(job / LOCK_FILE):
            continue
        with contextlib.suppress(FileNotFoundError):  # renamed or removed by another request
            kept = job / EXIT_FILE if (job / EXIT_FILE).is_file() else None
            # A folder that is just being laid out has no lock yet.
            age = now - (kept or job).stat().st_mtime
            if age > (KEEP_SECONDS if kept else 60):
                _discard(root, job)
    for each in filter(lambda file: _ID.fullmatch(file.name), (root / "announced").iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if now - each.stat().st_mtime > KEEP_SECONDS:
                remove(root, each)
    blobs.collect(root)
    virtualenv.collect(root)


def _gone(path: Path) -> EdgeRobertaError:
    return EdgeRobertaError(
        "the job is no longer on the device: the same command, run at the same time, fetched its result or "
        "stopped it",
        where=str(path),
        hint="its table is in that command's output; run this one again to measure anew",
        code="device.job-gone",
    )


def _discard(root: Path, job: Path) -> None:
    """Remove a job's folder, also where another request does so at the same time."""
    doomed = job.with_name(f".{job.name.lstrip('.')}.{os.getpid()}.old")
    with contextlib.suppress(FileNotFoundError):
        job.rename(doomed)
        remove(root, doomed)


def _place(root: Path, fresh: Path, job: Path) -> bool:
    """Give a job its name; False when the same command, started at the same time, was faster."""
    try:
        fresh.rename(job)
    except OSError:
        if not job.is_dir():
            raise
        remove(root, fresh)
        return False
    return True


def _lay_out(root: Path, job: Path, files: Mapping[str, str]) -> None:
    for name, sha256 in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise EdgeRobertaError(f"{name!r} leads out of the job's folder")
        target = job / path
        target.parent.mkdir(parents=True, exist_ok=True)
        blob = blobs.path_of(root, sha256)
        try:
            os.link(blob, target)
        except OSError:  # a file system without hard links
            shutil.copyfile(blob, target)


def _tell(log: Path, offset: int, emit: Emit, *, ended: bool) -> int:
    """Send the lines that a log has beyond ``offset``; one that is not whole yet waits for its rest."""
    if not log.is_file():
        return offset
    with log.open("rb") as handle:
        handle.seek(offset)
        while block := handle.read(_BLOCK):
            whole = block.rpartition(b"\n")[0]
            if not whole and not ended and len(block) < _BLOCK:
                break
            taken = len(whole) + 1 if whole else len(block)
            offset = handle.seek(offset + taken)
            emit({"at": offset, "lines": block[:taken].decode(errors="replace").splitlines()})
    return offset
