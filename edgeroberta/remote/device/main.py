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

from edgeroberta.errors import EdgeRobertaError

from . import blobs, jobs, runner
from .folder import Emit, free_bytes, open_root


def main(token: str, command: str, argument: str, program: str) -> int:
    """Answer one request from stdin.

    ``command``: a key of :data:`COMMANDS`, or ``run`` for the detached runner. ``argument``: the job's
    folder, for ``run``.
    """
    if command == "run":
        runner.run(Path(argument))
        return 0

    def emit(fields: dict[str, Any]) -> None:
        sys.stdout.buffer.write(f"{token} {json.dumps(fields)}\n".encode())
        sys.stdout.buffer.flush()

    try:
        asked = json.loads(sys.stdin.buffer.readline())
        root = open_root(asked["root"])
        emit(COMMANDS[command](root, {**asked, "program": program}, emit))
    except BrokenPipeError:  # nobody listens any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (EdgeRobertaError, OSError) as error:
        if isinstance(error, OSError):
            where = str(error.filename) if error.filename else None
            error = EdgeRobertaError(f"the device said: {error.strerror or error}", where=where)
        emit({"error": error.to_json()})
        return 1
    return 0


def _hello(root: Path, asked: dict[str, Any], emit: Emit) -> dict[str, Any]:
    jobs.announce(root, asked["job"])
    if asked.get("check"):
        blobs.check(root, asked["blobs"])
        jobs.collect(root, asked["job"])
    facts = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "root": str(root),
        "free_bytes": free_bytes(root),
    }
    return {"facts": facts, "missing": blobs.missing(root, asked["blobs"])}


#: Name of a request to the function that answers it; what it returns is the last line of the answer.
COMMANDS: dict[str, Callable[[Path, dict[str, Any], Emit], dict[str, Any]]] = {
    "hello": _hello,
    "receive": lambda root, asked, emit: {
        "received": blobs.receive(root, asked["items"], sys.stdin.buffer, emit)
    },
    "start": lambda root, asked, emit: {
        "started": jobs.start(root, asked["job"], asked["spec"], asked["files"], asked["program"])
    },
    "follow": lambda root, asked, emit: {"exit": jobs.follow(root, asked["job"], asked["offset"], emit)},
    "stop": lambda root, asked, emit: {"stopped": jobs.stop(root, asked["job"])},
    "clean": lambda root, asked, emit: {"emptied": jobs.clean(root, asked["job"], keep=asked["keep"])},
}
