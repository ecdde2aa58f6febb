"""What the command line prints: results on stdout, everything for people on stderr.

Texts of others pass here on their way to a terminal, so control characters in them become visible here.
"""

from __future__ import annotations

import json
import logging
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgeroberta.errors import EdgeRobertaError, GateError
from edgeroberta.escaping import plain, plain_json
from edgeroberta.progress import Progress, for_stream

if TYPE_CHECKING:
    from edgeroberta.api.results import Result


class Printable(Protocol):
    """What the functions behind the commands return."""

    def to_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""

    def __str__(self) -> str: ...


def out(text: str) -> None:
    """Print a result on stdout."""
    print(plain(text))


def out_json(value: Any) -> None:
    """Print a result on stdout as JSON, sorted keys; nothing else may go to stdout then."""
    print(plain_json(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)))


def out_line(value: Any) -> None:
    """Print a result on stdout as JSON on one line, as a stream of results is written."""
    print(plain_json(json.dumps(value, ensure_ascii=False)))


def say(text: str) -> None:
    """Tell people something, on stderr."""
    print(plain(text), file=sys.stderr, flush=True)


def say_error(error: EdgeRobertaError) -> None:
    """Tell people what went wrong, where, and what to do next, on stderr."""
    say(f"error: {error}")


def program() -> str:
    """Return what to type in this folder to run this program: its name alone where that finds it."""
    called = Path(sys.argv[0])
    if called.parts[-2:] == ("edgeroberta", "__main__.py"):
        return f"{shlex.quote(sys.executable)} -m edgeroberta"
    found = shutil.which("edgeroberta")
    if called.name != "edgeroberta" or (found and Path(found).resolve() == called.resolve()):
        return "edgeroberta"
    path = called.absolute()
    below = path.is_relative_to(Path.cwd())
    return shlex.quote(str(path.relative_to(Path.cwd()) if below else path))


class _Log(logging.Handler):
    """Says what library code logs; looks up stderr anew each time, since callers may replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say one record."""
        say(f"{record.levelname.lower()}: {self.format(record)}")


def show_log() -> None:
    """Show the warnings of this package on stderr; a second call changes nothing."""
    logger = logging.getLogger("edgeroberta")
    if not any(isinstance(handler, _Log) for handler in logger.handlers):
        logger.addHandler(_Log(logging.WARNING))


def progress() -> Progress:
    """Return the progress that fits stderr: a bar on a terminal, plain lines elsewhere."""
    return for_stream(sys.stderr)


def show(result: Printable, *, json: bool) -> None:
    """Print a result: its text, or with ``--json`` its JSON and nothing else."""
    if json:
        out_json(result.to_json())
    elif text := str(result):
        out(text)


def finish(result: Result) -> None:
    """End a command as its result asks: with what speaks against it, or with the gate's exit code."""
    for error in result.errors[:-1]:
        say_error(error)
    if result.errors:
        raise result.errors[-1]
    if not result.passed:
        sys.exit(GateError.exit_code)
