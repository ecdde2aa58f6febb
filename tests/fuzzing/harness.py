"""Runs one input and judges what came of it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import resource
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeroberta.errors import EdgeRobertaError

#: Processor seconds and bytes that one input may take, and characters that people are told.
SECONDS, BYTES, TOLD = 10.0, 1 << 30, 8_000
EXITS = (0, 1, 2, 3, 4)


class TooSlowError(BaseException):
    """The input has had its time; no ``except Exception`` takes it for something else."""


@dataclass(frozen=True)
class Case:
    """An input, written to files.

    Attributes:
        name: Its kind, and its number.
        folder: Where its files are.
        run: What reads them.
    """

    name: str
    folder: Path
    run: Callable[[], object]


def judge(case: Case) -> str | None:
    """Run an input.

    Returns:
        What is wrong with how it was answered; None when it was read, or refused as it should be.
    """
    before, memory = _files(case.folder), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    with _limited(), _inside(case.folder), _told() as told:
        wrong = _outcome(case)
    if (seconds := time.process_time() - started) > SECONDS:
        wrong = wrong or f"took {seconds:.1f} s of a processor"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    if grown > BYTES:
        wrong = wrong or f"took {grown / 1e6:.0f} MB"
    if len(told.getvalue()) > TOLD:
        wrong = wrong or f"said {len(told.getvalue())} characters: {told.getvalue()[:200]!r}"
    if "unexpected" in told.getvalue() and "error: unexpected" in told.getvalue():
        wrong = wrong or told.getvalue()[-1000:]
    if left := _files(case.folder) - before:
        wrong = wrong or f"left behind {sorted(left)[:3]}"
    return wrong


def _outcome(case: Case) -> str | None:
    try:
        case.run()
    except EdgeRobertaError as error:
        if len(str(error)) > TOLD:
            return f"a message of {len(str(error))} characters: {str(error)[:200]!r}"
        if error.exit_code not in EXITS or not error.what:
            return f"an error without a code or a reason: {error!r}"
    except SystemExit as left:
        if left.code not in EXITS:
            return f"left with {left.code!r}"
    except TooSlowError:
        return f"took more than {SECONDS:g} s"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)
        place = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in last[-4:]]
        return f"{type(error).__name__}: {str(error)[:150]!r} at {' '.join(place)}"
    return None


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Interrupt what takes too long, by the processor's time: a busy machine is no fault of the input."""

    def stop(number: int, frame: object) -> None:
        raise TooSlowError

    former = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, former)


@contextlib.contextmanager
def _told() -> Iterator[io.StringIO]:
    """Gather what people are told; results, which go to standard output, may be long."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = logging.getLogger("edgeroberta")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    columns = os.environ.pop("COLUMNS", None)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        if columns is not None:
            os.environ["COLUMNS"] = columns


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    former = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(former)
