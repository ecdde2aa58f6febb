"""The detached process that does a job: environment, then each step; it needs no connection."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO

from .environment import ensure
from .files import RefusedError, locked, write

#: Exit code of a step that lacks a package or hardware.
UNAVAILABLE = 4
EXIT_FILE, LOG_FILE, SPEC_FILE, LOCK_FILE = "exit.json", "log", "spec.json", "alive.lock"


def run(job: Path) -> None:
    """Do a job and say how it ended in ``exit.json``.

    Args:
        job: Its folder; ``spec.json`` says what to do. The caller holds ``alive.lock``, which this
            process has inherited: it is alive as long as the lock is held.
    """
    with (job / LOG_FILE).open("ab", buffering=0) as log:
        try:
            ended = _steps(job, json.loads((job / SPEC_FILE).read_text(encoding="utf-8")), log)
        except RefusedError as error:
            ended = {"code": error.fields["exit_code"], "step": "environment", "error": error.fields}
        except Exception as error:  # whatever it is, the workstation must learn of it
            what = f"unexpected {type(error).__name__} on the device: {error}"
            ended = {
                "code": 1,
                "step": "run",
                "error": {"what": what, "where": "", "hint": "", "exit_code": 1},
            }
    write(job / EXIT_FILE, json.dumps({**ended, "at": time.time()}) + "\n")


def _steps(job: Path, spec: dict[str, Any], log: BinaryIO) -> dict[str, Any]:
    root = Path(spec["root"])
    os.environ["PIP_CACHE_DIR"] = str(root / "cache" / "pip")  # what pip keeps goes when we go
    python = ensure(root, job, spec["environment"], log)
    # The second is for engines that keep files of their own in the user's cache, as ONNX Runtime 1.32 does.
    caches = {"EDGEROBERTA_CACHE": str(root / "cache"), "XDG_CACHE_HOME": str(root / "cache")}
    environment = {**os.environ, **caches, "PYTHONUNBUFFERED": "1"}

    def waiting() -> None:
        log.write(b"another measurement runs on this device, waiting for it\n")

    # Two benchmarks at once would measure each other.
    with locked(root / "measuring.lock", waiting, inherited=True):
        for step in spec["steps"]:
            code = _step(job, step, [str(python), "-m", "edgeroberta", *step["words"]], environment, log)
            if code == UNAVAILABLE and step.get("optional"):
                log.write(f"{step['name']}: this device cannot; the rest goes on without it\n".encode())
            elif code:
                return {"code": code, "step": step["name"]}
    return {"code": 0, "step": ""}


def _step(
    job: Path, step: dict[str, Any], words: list[str], environment: dict[str, str], log: BinaryIO
) -> int:
    log.write(f"{step['name']}: started\n".encode())
    with (job / f"{step['name']}.json").open("wb") as result:
        # It holds both locks as well (close_fds): a step that outlives this process still measures.
        done = subprocess.run(
            words, cwd=job, env=environment, stdin=subprocess.DEVNULL, stdout=result, stderr=log,
            close_fds=False, check=False,
        )  # fmt: skip
    # As shells report a signal; 137 is what the kernel's out-of-memory killer leaves.
    return 128 - done.returncode if done.returncode < 0 else done.returncode
