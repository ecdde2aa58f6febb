"""The virtual environment on the device: sees the system's packages, such as JetPack's TensorRT."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.errors import EdgeRobertaError, UnavailableError
from edgeroberta.runtime.driver import driver_version, requirement

from .events import tell
from .folder import is_locked, locked, remove, take

#: So many environments are kept: each is some hundred megabytes, and every version makes one.
KEEP = 3
# A folder of that name without Python files has a spec, too, but no origin.
_LOOK = (
    "import sys, importlib.util as u\n"
    "sys.exit(not any(found and found.origin for found in map(u.find_spec, sys.argv[1:])))"
)
#: Lines that pip ends with, and characters of each, which say why it failed; all of it is in the job's log.
_LAST_LINES, _LONGEST = 4, 200
#: What tells of a graphics card; the name of a board such as Jetson, which has sensors of its own.
_NVML, _BOARD = "nvidia-ml-py>=12", Path("/proc/device-tree/model")
_OFFLINE = (
    "a device without a package index takes wheels along: --wheelhouse DIR; one with a full disk needs space"
)
_FILL = (
    "docs/guides/remote.md, A device without a package index, has the command that fills a wheelhouse; "
    "this device "
)


def ensure(root: Path, job: Path, spec: dict[str, Any], log: BinaryIO) -> Path:
    """Return the Python of an environment with our wheel and its requirements, made if it is not there.

    It is made under a temporary name and renamed, so it is whole or absent; two workstations that want the
    same one wait for each other. It is run by its Python alone, never by its scripts, since those remember
    the temporary name. ``job``: the job's folder, with ``wheel/`` and perhaps ``wheelhouse/``. ``spec``:
    ``wheel`` (file name), ``extras``, ``pip_args``, ``content`` (hashes of all wheels) and ``tensorrt`` (what
    it may be imported as; empty where no engine needs it).
    """
    bindings = _bindings(spec["tensorrt"], job)
    key = _key(spec, bindings)
    folder = root / "venvs" / key

    def waiting() -> None:
        tell(log, "progress", "environment: another workstation is making it, waiting", code="waiting")

    with locked(root / "venvs" / f"{key}.lock", waiting):
        python = folder / "bin" / "python"
        if folder.is_dir():
            if _works(python):
                _use(folder)
                return python
            remove(root, folder)
        _require_venv()
        what = "environment: making it (once per version; this can take minutes)"
        tell(log, "progress", what, code="environment-making")
        temporary = root / "venvs" / f".{key}.tmp"
        if temporary.exists():
            remove(root, temporary)
        try:
            _make(temporary, job, {**spec, "bindings": bindings}, log)
            temporary.rename(folder)
            _use(folder)
        except BaseException:
            if temporary.exists():
                remove(root, temporary)
            raise
        return python


def collect(root: Path) -> None:
    """Drop unfinished environments, and all but the newest ones that no job uses."""
    venvs = root / "venvs"
    for partial in venvs.glob(".*.tmp"):
        if not is_locked(venvs / f"{partial.name[1:].removesuffix('.tmp')}.lock"):
            remove(root, partial)
    whole = [each for each in venvs.iterdir() if each.is_dir() and not each.name.startswith(".")]
    for folder in sorted(whole, key=lambda each: each.stat().st_mtime, reverse=True)[KEEP:]:
        with contextlib.ExitStack() as stack:
            # As in ensure, so that no job begins to use it meanwhile.
            handle = os.open(venvs / f"{folder.name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            stack.callback(os.close, handle)
            if take(handle, wait=False) and not is_locked(_use_of(folder)):
                remove(root, folder)
                remove(root, _use_of(folder))


def _use_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.use")


def _use(folder: Path) -> None:
    """Note that this process, and so its job, uses an environment until it ends."""
    os.utime(folder)
    # Not closed: the lock is to last as long as the process. Shared, since several jobs may have one.
    fcntl.flock(os.open(_use_of(folder), os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_SH)


def _bindings(packages: Sequence[str], job: Path) -> list[str]:
    """Return what pip must bring for the system's TensorRT: CUDA's bindings, as new as its driver runs.

    TensorRT itself is never fetched. JetPack brings it, and what the index has is for other machines; where
    there is none, the step that builds the engines says so.
    """
    if not packages or not _sees(packages, job):
        return []
    driver = driver_version()
    return [] if driver is None else [requirement(driver)]


def _sees(packages: Sequence[str], job: Path) -> bool:
    """Tell whether the Python whose packages the environment will see has one of them."""
    # The base: an environment made by the Python of another one does not see that one's packages.
    python = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run([python, "-c", _LOOK, *packages], cwd=job, capture_output=True, check=False)
    return done.returncode == 0


def _key(spec: dict[str, Any], bindings: Sequence[str]) -> str:
    # What TensorRT may be imported as counts by its outcome alone: most devices have none.
    asked = {name: value for name, value in spec.items() if name != "tensorrt"}
    parts = [asked, list(bindings), sys.version, os.path.realpath(sys.executable)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _works(python: Path) -> bool:
    # The system's Python may have been upgraded or removed since.
    try:
        done = subprocess.run([str(python), "-c", "import edgeroberta"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


def _require_venv() -> None:
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise UnavailableError(
            "this Python cannot make virtual environments (venv or ensurepip is missing)",
            where=sys.executable,
            hint="on the device: sudo apt install python3-venv",
            code="device.no-venv",
        )


def _make(folder: Path, job: Path, spec: dict[str, Any], log: BinaryIO) -> None:
    _run([sys.executable, "-m", "venv", "--system-site-packages", str(folder)], log, "venv")
    python = str(folder / "bin" / "python")
    wheel = str(job / "wheel" / spec["wheel"])
    words = "-m pip --disable-pip-version-check --no-input install --quiet --no-user"
    pip = [python, *words.split()]
    wheelhouse = job / "wheelhouse"
    offline = ["--no-index", "--find-links", str(wheelhouse)] if wheelhouse.is_dir() else []
    # The system may have this very version; without --ignore-installed pip would leave it at that.
    once = [*pip, "--no-index", "--no-deps", "--ignore-installed", wheel]
    extras = f"[{','.join(spec['extras'])}]" if spec["extras"] else ""
    rest = [*pip, *offline, *spec["pip_args"], wheel + extras, *spec["bindings"]]
    for each in (once, rest):
        _run(each, log, "pip", hint=f"{_FILL}needs wheels for {fits_here()}" if offline else _OFFLINE)
    if spec["tensorrt"] and driver_version() is not None and not _BOARD.is_file():
        # Tells a card's energy and throttling; what is not measured without it is no reason to fail.
        with contextlib.suppress(EdgeRobertaError):
            _run([*pip, *offline, *spec["pip_args"], _NVML], log, "pip")


def fits_here() -> str:
    """Return what a wheel must be for: ``linux-aarch64 (glibc 2.35), Python 3.10``."""
    library, version = platform.libc_ver()
    libc = f" ({library} {version})" if library else ""
    return f"{sysconfig.get_platform()}{libc}, Python {'.'.join(platform.python_version_tuple()[:2])}"


def _run(words: Sequence[str], log: BinaryIO, what: str, *, hint: str = _OFFLINE) -> None:
    # JetPack and others set pip options for all users; those must not choose where this goes.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PIP_USER", "PIP_TARGET")
    }
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=environment,
        check=False,
    )  # fmt: skip
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    for line in lines:
        tell(log, "log", line)
    if done.returncode:
        said = " | ".join(line[:_LONGEST] for line in lines[-_LAST_LINES:]) or "nothing"
        raise EdgeRobertaError(
            f"the environment could not be made: {what} ended with exit code {done.returncode}: {said}",
            where=str(Path(words[0]).parent),
            hint=hint,
            code="device.environment",
        )
