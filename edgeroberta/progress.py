"""Progress for people: a bar with the time left on a terminal, plain lines anywhere else.

Everything goes to one stream (the command line gives stderr), so that results on stdout stay clean.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TextIO

from edgeroberta.escaping import one_line, plain

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

        Args:
            label: What is being done, e.g. ``distill``.
            total: How many units there are; 0 when unknown.
            unit: What is counted, in the plural, e.g. ``steps``.
            done: How many of them an earlier run has done.

        Yields:
            A function ``advance(n=1, note="")`` to call as units get done.
        """
        meter = Meter(label, total, unit, done)
        self._begin(meter)

        def advance(n: int = 1, note: str = "") -> None:
            meter.add(n, note)
            self._step(meter)

        try:
            yield advance
        except BaseException:
            self._end(meter, complete=False)
            raise
        self._end(meter, complete=True)

    def _begin(self, meter: Meter) -> None:
        """Announce the work."""

    def _step(self, meter: Meter) -> None:
        """Show that the meter moved."""

    def _end(self, meter: Meter, *, complete: bool) -> None:
        """Close the work, finished or interrupted."""


class Meter:
    """Counts units and estimates the time left from the rate so far.

    Attributes:
        done: Units done.
        carried: Units that were done before the meter started: they say nothing about the rate.
        note: The newest note.
        shown: Clock of the last time the meter was shown.
    """

    def __init__(self, label: str, total: int, unit: str, done: int = 0) -> None:
        self.label = one_line(label)
        self.total = total
        self.unit = unit
        self.done = self.carried = done
        self.note = ""
        self.started = time.monotonic()
        self.shown = self.started

    def add(self, n: int, note: str) -> None:
        """Count ``n`` more units; an empty note keeps the former one."""
        self.done += n
        self.note = one_line(note) or self.note

    def due(self, seconds: float) -> bool:
        """Tell whether it is time to show the meter again, and remember that it was."""
        now = time.monotonic()
        if now - self.shown < seconds:
            return False
        self.shown = now
        return True

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def left(self) -> float | None:
        """Seconds left at the mean rate so far; None when nothing is known yet."""
        fresh = self.done - self.carried
        if not self.total or fresh <= 0:
            return None
        return self.elapsed / fresh * max(0, self.total - self.done)

    def counts(self) -> str:
        """Return ``120/400 steps``, or ``120 steps`` when the total is not known."""
        return f"{self.done:,}/{self.total:,} {self.unit}" if self.total else f"{self.done:,} {self.unit}"


class PlainProgress(Progress):
    """Writes whole lines: one at the start, one every ten seconds, one at the end.

    Args:
        stream: Where to write.
        seconds: Least time between two lines of one bar.
    """

    def __init__(self, stream: TextIO, *, seconds: float = PLAIN_SECONDS) -> None:
        self.stream = stream
        self.seconds = seconds

    def line(self, text: str) -> None:
        """Write one line."""
        self.stream.write(plain(text) + "\n")
        self.stream.flush()

    def _begin(self, meter: Meter) -> None:
        total = f"{meter.total:,} {meter.unit}" if meter.total else meter.unit
        self.line(f"{meter.label}: {total}")

    def _step(self, meter: Meter) -> None:
        complete = meter.total and meter.done >= meter.total  # the last line says so
        if not complete and meter.due(self.seconds):
            left = f", {duration(meter.left)} left" if meter.left is not None else ""
            self.line(f"{meter.label}: {meter.counts()}{left}{_noted(meter)}")

    def _end(self, meter: Meter, *, complete: bool) -> None:
        end = "done" if complete else "stopped"
        self.line(f"{meter.label}: {end}, {meter.counts()} in {duration(meter.elapsed)}{_noted(meter)}")


class TerminalProgress(Progress):
    """Draws a bar that redraws itself on one terminal line.

    Args:
        stream: A terminal.
        colour: Whether escape codes for colour may be used.
        columns: Asks for the width of the terminal in characters.
    """

    def __init__(
        self, stream: TextIO, *, colour: bool = True, columns: Callable[[], int] | None = None
    ) -> None:
        self.stream = stream
        self.colour = colour
        self.columns = columns or (lambda: shutil.get_terminal_size().columns)
        self._open: list[Meter] = []

    def line(self, text: str) -> None:
        """Write one line above the bar, if one is shown."""
        self._erase()
        self.stream.write(plain(text) + "\n")
        if self._open:
            self._draw(self._open[-1])
        self.stream.flush()

    def _begin(self, meter: Meter) -> None:
        self._open.append(meter)
        self._draw(meter)

    def _step(self, meter: Meter) -> None:
        if meter.due(BAR_SECONDS):
            self._draw(meter)

    def _end(self, meter: Meter, *, complete: bool) -> None:
        self._open.remove(meter)
        self._erase()
        mark = self._paint("32", "done") if complete else self._paint("31", "stopped")
        self.stream.write(
            f"{meter.label}: {mark}, {meter.counts()} in {duration(meter.elapsed)}{_noted(meter)}\n"
        )
        self.stream.flush()

    def _draw(self, meter: Meter) -> None:
        share = min(1.0, meter.done / meter.total) if meter.total else 0.0
        filled = round(share * BAR_WIDTH)
        left = f" {duration(meter.left)} left" if meter.left is not None else ""
        drawn = "━" * filled
        rest = "╌" * (BAR_WIDTH - filled)
        tail = f" {share:4.0%} {meter.counts()}{left}{_noted(meter)}"
        room = max(0, self.columns() - 1 - len(meter.label) - 1 - BAR_WIDTH)
        bar = self._paint("36", drawn) + self._paint("2", rest)
        self._erase()
        self.stream.write(f"{meter.label} {bar}{tail[:room]}")
        self.stream.flush()

    def _erase(self) -> None:
        # Carriage return and "erase to the end of the line": the one control sequence that every
        # terminal knows; it is no colour, so NO_COLOR does not switch it off.
        self.stream.write("\r\x1b[K")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text


def for_stream(stream: TextIO) -> Progress:
    """Pick bars for a terminal and plain lines for a file or a pipe.

    Args:
        stream: Where progress goes, usually stderr. ``NO_COLOR`` (https://no-color.org) and
            ``TERM=dumb`` are honoured.
    """
    dumb = os.environ.get("TERM", "") == "dumb"
    if not stream.isatty() or dumb:
        return PlainProgress(stream)
    return TerminalProgress(stream, colour=not os.environ.get("NO_COLOR"))


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


def _noted(meter: Meter) -> str:
    return f" · {meter.note}" if meter.note else ""
