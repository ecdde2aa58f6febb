"""The detached process that does a job: environment, then each step; it needs no connection."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.errors import EdgeRobertaError, UnavailableError

from .events import tell
from .folder import locked, write
from .virtualenv import ensure

EXIT_FILE, LOG_FILE, SPEC_FILE, LOCK_FILE = "exit.json", "log", "spec.json", "alive.lock"
#: A table takes some ten kilobytes; anything much larger is not one.
RESULT_BYTES = 16 << 20
#: What is run in the environment for each step; see there.
STEP_MODULE = "edgeroberta.remote.step"


def run(job: Path) -> None:
    """Do a job and say in ``exit.json`` how it ended: name, exit code, error and result of its last step.

    ``spec.json`` in the job's folder says what to do. The caller holds ``alive.lock``, which this process has
    inherited: it is alive as long as the lock is held.
    """
    with (job / LOG_FILE).open("ab", buffering=0) as log:
        try:
            ended = _steps(job, json.loads((job / SPEC_FILE).read_text(encoding="utf-8")), log)
        except Exception as error:  # whatever it is, the workstation must learn of it
            if not isinstance(error, EdgeRobertaError):
                error = EdgeRobertaError(f"unexpected {type(error).__name__} on the device: {error}")
            ended = {"code": error.exit_code, "step": "environment", "error": error.to_json()}
    write(job / EXIT_FILE, json.dumps({**ended, "at": time.time()}) + "\n")


def _steps(job: Path, spec: dict[str, Any], log: BinaryIO) -> dict[str, Any]:
    root = Path(spec["root"])
    os.environ["PIP_CACHE_DIR"] = str(root / "cache" / "pip")  # what pip keeps goes when we go
    python = ensure(root, job, spec["environment"], log)
    # The second is for engines that keep files of their own in the user's cache, as ONNX Runtime 1.32 does.
    caches = {"EDGEROBERTA_CACHE": str(root / "cache"), "XDG_CACHE_HOME": str(root / "cache")}
    environment = {**os.environ, **caches, "PYTHONUNBUFFERED": "1"}

    def waiting() -> None:
        tell(log, "progress", "another measurement runs on this device, waiting for it", code="waiting")

    # Two benchmarks at once would measure each other.
    with locked(root / "measuring.lock", waiting, inherited=True):
        for step in spec["steps"]:
            ended = _step(job, step, str(python), environment, log)
            if ended["code"] == UnavailableError.exit_code and step["optional"]:
                why = (ended["error"] or {}).get("what") or "it did not say why"
                what = f"{step['name']}: this device cannot; the rest continues without it: {why}"
                tell(log, "progress", what, code="step-skipped")
            elif ended["code"]:
                return ended
    return ended


def _step(
    job: Path, step: dict[str, Any], python: str, environment: dict[str, str], log: BinaryIO
) -> dict[str, Any]:
    """Run a step; return its exit code, and its result or its error where it could write one."""
    tell(log, "progress", f"{step['name']}: started", code="step-started")
    file = job / f"{step['name']}.json"
    words = [python, "-m", STEP_MODULE, step["name"], step["function"]]
    with file.open("wb") as result:
        # It holds both locks as well (close_fds): a step that outlives this process still measures.
        done = subprocess.run(
            words, input=json.dumps(step["arguments"]).encode(),
            cwd=job, env=environment, stdout=result, stderr=log, close_fds=False, check=False,
        )  # fmt: skip
    # As shells report a signal; 137 is what the kernel's out-of-memory killer leaves.
    code = 128 - done.returncode if done.returncode < 0 else done.returncode
    found: Any = None
    if file.stat().st_size <= RESULT_BYTES:
        with contextlib.suppress(ValueError):
            found = json.loads(file.read_text(encoding="utf-8", errors="replace"))
    found = found if isinstance(found, dict) else {}
    return {"code": code, "step": step["name"], "error": found.get("error"), "result": found.get("result")}
