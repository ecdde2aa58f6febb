"""A step of a job in a process of its own: ``python -m edgeroberta.remote.step NAME MODULE:FUNCTION``.

The function gets a JSON object from stdin and where to report. What it returns goes to stdout, ``{"result":
…}`` or ``{"error": …}``, and what it tells meanwhile to stderr as events (see
:mod:`edgeroberta.remote.device.events`).
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeroberta.errors import EdgeRobertaError, EngineError
from edgeroberta.progress import PlainProgress, Progress
from edgeroberta.remote.device.events import tell
from edgeroberta.remote.failures import relayed
from edgeroberta.storage import jsontext
from edgeroberta.storage.strict import build, clean

#: What a step's function looks like.
Function = Callable[[dict[str, Any], Progress], Any]
_MODULE = "edgeroberta.remote.step"
_LAST_LINES = 3


@dataclass(frozen=True)
class Step:
    """A function to be called elsewhere."""

    name: str  # what people read of it; no two of a job have the same
    function: str  # ``module:function``
    arguments: Mapping[str, Any] = field(default_factory=dict)  # its arguments, as JSON has them
    optional: bool = False  # a job continues where this machine cannot do it (exit code 4)

    @classmethod
    def of(
        cls, name: str, function: Function, arguments: Mapping[str, Any], *, optional: bool = False
    ) -> Step:
        """Make a step of a function at the top of its module."""
        return cls(name, f"{function.__module__}:{function.__qualname__}", arguments, optional)


@dataclass(frozen=True)
class Event:
    """What a process tells while it runs; ``text`` is for people, ``code`` for programs."""

    event: Literal["progress", "log"]
    text: str
    code: str = ""

    @classmethod
    def read(cls, line: str) -> Event:
        """Read a line; one that is no event, as of a library, is a log as it stands."""
        try:
            return build(cls, jsontext.loads(line))
        except (TypeError, ValueError):
            return cls("log", clean(line).rstrip())


class EventProgress(PlainProgress):
    """Tells what is reported as events."""

    def line(self, text: str) -> None:
        """Tell one sentence."""
        tell(self.stream.buffer, "progress", text)


class _EventLog(logging.Handler):
    """Tells warnings as events."""

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        tell(sys.stderr.buffer, "log", f"{record.levelname.lower()}: {self.format(record)}")


def run_here(step: Step, *, environment: Mapping[str, str], progress: Progress) -> Any:
    """Run a step in a process of this machine, so that one that crashes takes nothing with it."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", _MODULE, step.name, step.function]
    said: list[str] = []
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as printed:
        asked.write(json.dumps(step.arguments).encode())
        asked.seek(0)
        process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": path, **environment},
            stdin=asked, stdout=printed, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:  # closes its pipe
            try:
                for line in process.stderr or ():
                    event = Event.read(line.decode(errors="replace"))
                    said.append(event.text)
                    progress.line(event.text)
                code = process.wait()
            finally:
                process.kill()
        printed.seek(0)
        result = printed.read()
    try:
        found = jsontext.loads(result)
    except ValueError:
        found = {}
    if "error" in found:
        raise relayed(found["error"])
    if code or "result" not in found:  # an engine may crash the process after its result is written, too
        words = " | ".join(said[-_LAST_LINES:]) or "without a word"
        raise EngineError(f"{step.name} ended with exit code {code}: {words}")
    return found["result"]


def main() -> None:
    """Do the step that the command line names, and leave with its exit code."""
    function = sys.argv[-1]
    # Whatever the step's libraries print must not get between the outcome's bytes.
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    logging.getLogger("edgeroberta").addHandler(_EventLog(logging.WARNING))
    result: dict[str, Any] = {}
    code = 0
    try:
        module, _, name = function.partition(":")
        call: Function = getattr(importlib.import_module(module), name)
        result["result"] = call(json.loads(sys.stdin.buffer.read()), EventProgress(sys.stderr))
    except Exception as error:
        if not isinstance(error, EdgeRobertaError):
            traceback.print_exc()
        wrapped = EdgeRobertaError.of(error)
        result["error"], code = wrapped.to_json(), wrapped.exit_code
    with channel:
        channel.write(json.dumps(result).encode())
    sys.exit(code)


if __name__ == "__main__":
    main()
