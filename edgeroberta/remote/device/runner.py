"""The detached process that does a job: environment, then each step; it needs no connection."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, BinaryIO

from edgeroberta.errors import EdgeRobertaError, UnavailableError

from .environment import ensure
from .events import tell
from .files import locked, write

EXIT_FILE, LOG_FILE, SPEC_FILE, LOCK_FILE = "exit.json", "log", "spec.json", "alive.lock"
#: What is run in the environment for each step; see there.
STEP_MODULE = "edgeroberta.remote.step"


def run(job: Path) -> None:
    """Do a job and say in ``exit.json`` how it ended: name, exit code and error of its last step.

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
            name, ended = step["name"], _step(job, step, str(python), environment, log)
            if ended["code"] == UnavailableError.exit_code and step["optional"]:
                why = (ended["error"] or {}).get("what") or "it did not say why"
                what = f"{name}: this device cannot; the rest continues without it: {why}"
                tell(log, "progress", what, code="step-skipped")
            elif ended["code"]:
                return ended
    return {"code": 0, "step": name, "error": None}


def _step(
    job: Path, step: dict[str, Any], python: str, environment: dict[str, str], log: BinaryIO
) -> dict[str, Any]:
    name = step["name"]
    tell(log, "progress", f"{name}: started", code="step-started")
    with (job / f"{name}.json").open("wb") as outcome:
        # It holds both locks as well (close_fds): a step that outlives this process still measures.
        done = subprocess.run(
            [python, "-m", STEP_MODULE, name, step["function"]], input=json.dumps(step["arguments"]).encode(),
            cwd=job, env=environment, stdout=outcome, stderr=log, close_fds=False, check=False,
        )  # fmt: skip
    # As shells report a signal; 137 is what the kernel's out-of-memory killer leaves.
    code = 128 - done.returncode if done.returncode < 0 else done.returncode
    return {"code": code, "step": name, "error": _error(job / f"{name}.json") if code else None}


def _error(outcome: Path) -> Any:
    """Return the error that a step wrote; None where it could not, as one that was killed."""
    try:
        fields = json.loads(outcome.read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return None
    return fields.get("error") if isinstance(fields, dict) else None
