"""What the command line prints: results on stdout, everything for people on stderr.

Texts of others pass here on their way to a terminal, so control characters in them become visible here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
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


def flush() -> None:
    """Write out what stands in stdout's buffer, so that a failure is told here and not by Python at its end.

    Raises OSError: nobody reads it, or the disk is full. What is left is dropped then.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def say(text: str) -> None:
    """Tell people something, on stderr, unless they asked for quiet."""
    if not _voice.quiet:
        complain(text)


def complain(text: str) -> None:
    """Tell people what they must know, on stderr, also where they asked for quiet."""
    print(plain(text), file=sys.stderr, flush=True)


def say_error(error: EdgeRobertaError) -> None:
    """Tell people what went wrong, where, and what to do next, on stderr."""
    complain(f"error: {error}")


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
        """Say one record, with the time and whose it is where people want to know."""
        text = f"{record.levelname.lower()}: {self.format(record)}"
        if _voice.verbose:
            name = record.name.removeprefix("edgeroberta.")
            text = f"{time.strftime('%H:%M:%S', time.localtime(record.created))} {name} {text}"
        complain(text)


@dataclass
class _Voice:
    """How much people want to hear."""

    quiet: bool = False
    verbose: bool = False


_voice = _Voice()


def set_voice(*, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
    """Say only errors with ``quiet``; with ``verbose`` what this package logs, with ``debug`` all of that."""
    _voice.quiet, _voice.verbose = quiet, verbose
    level = logging.ERROR if quiet else logging.WARNING
    if verbose:
        level = logging.DEBUG if debug else logging.INFO
    logger = logging.getLogger("edgeroberta")
    if not any(isinstance(handler, _Log) for handler in logger.handlers):
        logger.addHandler(_Log())
    for handler in logger.handlers:
        if isinstance(handler, _Log):
            handler.setLevel(level)
    # A logger that is asked for less drops records before others, such as a test's, could see them.
    logger.setLevel(level if verbose else logging.NOTSET)
    # The Hub's client reads these when it is imported; else it draws bars into files, and in spite of quiet.
    if quiet or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if quiet:
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")


def progress() -> Progress:
    """Return the progress that fits stderr: a bar on a terminal, plain lines elsewhere, nothing if quiet."""
    return Progress() if _voice.quiet else for_stream(sys.stderr)


def bar() -> Progress:
    """Return a bar on a terminal, and nothing elsewhere: for filters, which stand in pipes and cron jobs."""
    return progress() if sys.stderr.isatty() else Progress()


@contextlib.contextmanager
def ending_on_term() -> Iterator[None]:
    """Let SIGTERM, which ``timeout`` and service managers send, end a command as Ctrl-C does, tidied up."""
    former = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


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
