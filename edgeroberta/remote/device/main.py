"""What the workstation can ask; requests and answers are JSON, one a line.

Every answer carries the token of its request, so that whatever else a login shell prints is told apart.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import blobs, jobs, runner
from .files import Emit, RefusedError, free_bytes, open_root


def main(token: str, command: str, argument: str, program: str) -> int:
    """Answer one request from stdin.

    Args:
        token: What every line of the answer begins with.
        command: A key of :data:`COMMANDS`, or ``run`` for the detached runner.
        argument: The job's folder, for ``run``.
        program: Text of the whole program, to be kept beside a job.

    Returns:
        Exit code.
    """
    if command == "run":
        runner.run(Path(argument))
        return 0

    def emit(fields: dict[str, Any]) -> None:
        sys.stdout.buffer.write(f"{token} {json.dumps(fields)}\n".encode())
        sys.stdout.buffer.flush()

    try:
        request = json.loads(sys.stdin.buffer.readline())
        root = open_root(request["root"])
        COMMANDS[command](root, {**request, "program": program}, emit)
    except RefusedError as error:
        emit({"error": error.fields})
        return 1
    except BrokenPipeError:  # nobody listens any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except OSError as error:
        fields = {"what": f"the device said: {error.strerror or error}", "where": str(error.filename or "")}
        emit({"error": {**fields, "hint": "", "exit_code": 1, "kind": ""}})
        return 1
    return 0


def _hello(root: Path, request: dict[str, Any], emit: Emit) -> None:
    jobs.enter(root, request["job"])
    if request.get("check"):
        blobs.check(root, request["blobs"])
        jobs.collect(root, request["job"])
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "root": str(root),
        "free_bytes": free_bytes(root),
    }
    emit({"facts": facts, "missing": blobs.missing(root, request["blobs"])})


def _receive(root: Path, request: dict[str, Any], emit: Emit) -> None:
    blobs.receive(root, request["items"], sys.stdin.buffer, emit)
    emit({"done": True})


def _start(root: Path, request: dict[str, Any], emit: Emit) -> None:
    started = jobs.start(root, request["job"], request["spec"], request["files"], request["program"])
    emit({"started": started})


def _follow(root: Path, request: dict[str, Any], emit: Emit) -> None:
    jobs.follow(root, request["job"], request["offset"], emit)


def _result(root: Path, request: dict[str, Any], emit: Emit) -> None:
    emit({"result": jobs.result(root, request["job"], request["step"])})


def _stop(root: Path, request: dict[str, Any], emit: Emit) -> None:
    jobs.stop(root, request["job"])
    emit({"done": True})


def _clean(root: Path, request: dict[str, Any], emit: Emit) -> None:
    jobs.clean(root, request["job"], keep=request["keep"])
    emit({"done": True})


#: Name of a request to the function that answers it.
COMMANDS: dict[str, Callable[[Path, dict[str, Any], Emit], None]] = {
    "hello": _hello,
    "receive": _receive,
    "start": _start,
    "follow": _follow,
    "result": _result,
    "stop": _stop,
    "clean": _clean,
}
