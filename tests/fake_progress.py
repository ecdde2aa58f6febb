"""Progress that keeps what it hears, and progress that stands for a kill."""

from __future__ import annotations

from collections.abc import Callable

from edgeroberta.progress import Meter, Progress


class Heard(Progress):
    """Keeps every line, and every meter that was begun: its label, and what was done then."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.begun: list[tuple[str, int]] = []
        self.steps: list[int] = []

    def line(self, text: str) -> None:
        self.lines.append(text)

    def _begin(self, meter: Meter) -> None:
        self.begun.append((meter.label, meter.done))

    def _step(self, meter: Meter) -> None:
        self.steps.append(meter.done)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


class Kill(Progress):
    """Dies when a piece of work, the one called ``label`` or any, has come to ``done`` units."""

    def __init__(self, done: int, label: str | None = None) -> None:
        self.done, self.label = done, label

    def _step(self, meter: Meter) -> None:
        if self.label in (None, meter.label) and meter.done >= self.done:
            raise Killed


class Acting(Heard):
    """Calls a function when a line holds some words, once; it is None then."""

    def __init__(self, words: str, act: Callable[[], object]) -> None:
        super().__init__()
        self.words = words
        self.act: Callable[[], object] | None = act

    def line(self, text: str) -> None:
        super().line(text)
        if self.act is not None and self.words in text:
            act, self.act = self.act, None
            act()
