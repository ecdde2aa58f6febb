"""Progress for people: bars with the time left on a terminal and in a notebook, plain lines anywhere else.

Everything goes to one stream (the command line gives stderr), so that results on stdout stay clean. rich
draws the bars, and is imported for the first one; names of files and texts of errors are no markup there.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TextIO

from edgeroberta.escaping import one_line, plain

if TYPE_CHECKING:
    import rich.progress

#: Seconds between two plain lines: often enough to see that it lives, seldom enough for a log file.
PLAIN_SECONDS = 10.0
#: Seconds between two redraws of a bar.
BAR_SECONDS = 0.1
BAR_WIDTH = 24


class Advance(Protocol):
    """The function that a bar yields."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """Say that ``n`` more units are done; ``note`` is a short text such as the current loss."""


class Progress:
    """What library code reports to; this base says nothing, as other processes than the main one should."""

    def line(self, text: str) -> None:
        """Say one sentence."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str, *, done: int = 0) -> Iterator[Advance]:
        """Report a countable piece of work.

        ``label`` is what is being done, e.g. ``distill``; ``total`` how many units there are, 0 when unknown;
        ``unit`` what is counted, in the plural; ``done`` how many of them an earlier run has done. Yields a
        function ``advance(n=1, note="")`` to call as units get done.
        """
        meter = Meter(label, total, unit, done)
        self._begin(meter)

        def advance(n: int = 1, note: str = "") -> None:
            meter.add(n, note)
            self._step(meter)

        complete = False
        try:
            yield advance
            complete = True
        finally:
            self._end(meter, complete=complete)

    def _begin(self, meter: Meter) -> None:
        """Announce the work."""

    def _step(self, meter: Meter) -> None:
        """Show that the meter moved."""

    def _end(self, meter: Meter, *, complete: bool) -> None:
        """Close the work, finished or interrupted."""


class Meter:
    """Counts units and estimates the time left; those an earlier run has done say nothing about the rate."""

    def __init__(self, label: str, total: int, unit: str, done: int = 0) -> None:
        self.label = one_line(label)
        self.total = total
        self.unit = unit
        self.done = self._carried = done
        self.note = ""
        self._started = self._shown = time.monotonic()

    def add(self, n: int, note: str) -> None:
        """Count ``n`` more units; an empty note keeps the former one."""
        self.done += n
        self.note = one_line(note) or self.note

    def due(self, seconds: float) -> bool:
        """Tell whether it is time to show the meter again, and remember that it was."""
        now = time.monotonic()
        if now - self._shown < seconds:
            return False
        self._shown = now
        return True

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float | None:
        """Seconds left at the mean rate so far; None when nothing is known yet."""
        fresh = self.done - self._carried
        if not self.total or fresh <= 0:
            return None
        return self.elapsed / fresh * max(0, self.total - self.done)

    def state(self) -> str:
        """Say how far it is: ``120/400 steps, 15 s left · loss 0.31``."""
        left = "" if self.left is None else f", {duration(self.left)} left"
        return f"{self._counts()}{left}{self._noted()}"

    def result(self) -> str:
        """Say what was done: ``400/400 steps in 25 s · loss 0.31``."""
        return f"{self._counts()} in {duration(self.elapsed)}{self._noted()}"

    def _counts(self) -> str:
        return f"{self.done:,}/{self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"

    def _noted(self) -> str:
        return f" · {self.note}" if self.note else ""


class PlainProgress(Progress):
    """Writes whole lines: one at the start, one every ``seconds``, one at the end."""

    def __init__(self, stream: TextIO, *, seconds: float = PLAIN_SECONDS) -> None:
        self.stream = stream
        self.seconds = seconds

    def line(self, text: str) -> None:
        """Write one line."""
        self.stream.write(plain(text) + "\n")
        self.stream.flush()

    def _begin(self, meter: Meter) -> None:
        total = f"{meter.total:,} {meter.unit}" if meter.total else meter.unit
        before = f", {meter.done:,} of them done by an earlier run" if meter.done else ""
        self.line(f"{meter.label}: {total}{before}")

    def _step(self, meter: Meter) -> None:
        complete = meter.total and meter.done >= meter.total  # the last line says so
        if not complete and meter.due(self.seconds):
            self.line(f"{meter.label}: {meter.state()}")

    def _end(self, meter: Meter, *, complete: bool) -> None:
        self.line(f"{meter.label}: {'done' if complete else 'stopped'}, {meter.result()}")


class BarProgress(Progress):
    """Draws a bar for each open piece of work, and lines above them; rich, if there, honours ``NO_COLOR``."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console

        self._console = Console(file=stream, force_terminal=True, markup=False, emoji=False, highlight=False)
        self._bars: rich.progress.Progress | None = None
        self._tasks: dict[Meter, rich.progress.TaskID] = {}

    def line(self, text: str) -> None:
        """Write one line above the bars."""
        self._console.out(plain(text), highlight=False)

    def _begin(self, meter: Meter) -> None:
        if self._bars is None:
            self._bars = self._start()
        self._tasks[meter] = self._bars.add_task(
            meter.label, total=meter.total or None, completed=meter.done, state=meter.state()
        )
        self._bars.refresh()

    def _start(self) -> rich.progress.Progress:
        from rich.progress import BarColumn, Progress, TextColumn

        bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(BAR_WIDTH),
            TextColumn("{task.fields[state]}", markup=False),
            console=self._console,
            auto_refresh=False,  # no thread beside a training that forks, and none in a notebook
            transient=True,
            redirect_stdout=False,
        )
        bars.start()
        self._console.show_cursor(True)  # a run that is killed must not leave a terminal without one
        return bars

    def _step(self, meter: Meter) -> None:
        if self._bars is not None and meter.due(BAR_SECONDS):
            self._bars.update(self._tasks[meter], completed=meter.done, state=meter.state(), refresh=True)

    def _end(self, meter: Meter, *, complete: bool) -> None:
        from rich.text import Text

        task = self._tasks.pop(meter)
        if self._bars is not None and self._tasks:
            self._bars.remove_task(task)
        elif self._bars is not None:
            self._bars.stop()
            self._bars = None
        end = ("done", "green") if complete else ("stopped", "red")
        self._console.print(Text.assemble(f"{meter.label}: ", end, f", {meter.result()}"), soft_wrap=True)


def for_stream(stream: TextIO) -> Progress:
    """Pick bars for a terminal and a notebook, and plain lines for a file, a pipe and ``TERM=dumb``.

    A notebook draws bars with ipywidgets; without them, or without rich, it is plain lines, too.
    """
    terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
    if not terminal and not _notebook():
        return PlainProgress(stream)
    try:
        return BarProgress(stream)
    except ImportError:
        return PlainProgress(stream)


def _notebook() -> bool:
    """Tell whether this process is the kernel of a notebook that can draw."""
    if "ipykernel" not in sys.modules:
        return False
    return all(importlib.util.find_spec(name) is not None for name in ("ipywidgets", "rich"))


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: ``8 s``, ``2 min 05 s``, ``1 h 12 min``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
