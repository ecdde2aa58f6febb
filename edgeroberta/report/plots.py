"""Drawings on two axes, for the pages of reports.

SVG inside a page, which styles it by the names of classes: see ``templates/page.css``. Sizes are those of a
telephone's page; a wider one has room for larger letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edgeroberta.escaping import one_line, plain
from edgeroberta.report.axes import LinearAxis, LogarithmicAxis

WIDTH, HEIGHT = 440, 320
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 46
#: Guess of the width of a character.
CHARACTER = 7.0
#: Series that can be told apart by colour and dashes; more begin again.
SERIES = ("s0", "s1", "s2", "s3")


@dataclass(frozen=True)
class Plot:
    """Where values are on a drawing."""

    x: LinearAxis | LogarithmicAxis
    y: LinearAxis | LogarithmicAxis
    top: int = TOP  # where the plot begins
    bottom: int = HEIGHT - BOTTOM  # where it ends

    def at(self, right: float, up: float) -> tuple[float, float]:
        """Return the pixels of a point."""
        return (
            LEFT + self.x.part(right) * (WIDTH - LEFT - RIGHT),
            self.bottom - self.y.part(up) * (self.bottom - self.top),
        )

    def axes(self, across: str, up: str, label: Callable[[float], str] | None = None) -> Iterator[str]:
        """Draw ticks, their numbers, and what they are of. ``label``: writes the numbers upwards."""
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            yield line((LEFT, y), (WIDTH - RIGHT, y), "grid")
            yield text(LEFT - 8, y + 4, (label or self.y.label)(tick), "end")
        yield from self.across(across)
        yield text(8, self.top - 20, up)

    def across(self, name: str) -> Iterator[str]:
        """Draw the lower axis."""
        free = -1e9
        for tick in self.x.ticks():
            x, y = self.at(tick, self.y.low)
            yield line((x, y), (x, y + 5), "axis")
            told = self.x.label(tick)
            if x - free > 4 + len(told) * CHARACTER:  # else it would stand in the one before
                yield text(x, y + 19, told, "middle")
                free = x + len(told) * CHARACTER / 2
        yield line(self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.low), "axis")
        yield text(LEFT + (WIDTH - LEFT - RIGHT) / 2, self.bottom + 40, name, "middle")

    def curve(self, points: Sequence[tuple[float, float]], kind: str) -> str:
        """Join points by a line."""
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        return f'<polyline class="line {kind}" points="{corners}"/>'

    def dots(self, points: Sequence[tuple[float, float]], kind: str, radius: float = 4) -> Iterator[str]:
        """Mark points."""
        for point in points:
            x, y = self.at(*point)
            yield f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def svg(
    title: str, parts: Sequence[str], *, width: int = WIDTH, height: float = HEIGHT, kind: str = "plot"
) -> str:
    """Put the parts of a drawing together. ``title``: what a screen reader says of it."""
    named = escape(plain(title))
    head = f'<svg class="{kind}" viewBox="0 0 {width} {height:g}" role="img" aria-label="{named}">'
    return "\n".join([head, *parts, "</svg>"])


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    """Draw a straight line between two places, in pixels."""
    (x1, y1), (x2, y2) = start, end
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Fill a rectangle, in pixels."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def text(x: float, y: float, words: str, anchor: str = "start", kind: str = "") -> str:
    """Write words at a place, in pixels."""
    named = f' class="{kind}"' if kind else ""
    placed = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text{named} x="{x:.1f}" y="{y:.1f}"{placed}>{escape(plain(words), quote=False)}</text>'


def legend(names: Sequence[tuple[str, str]], y: float) -> tuple[list[str], float]:
    """Name series, as many to a line as there is room for. ``names``: what they are called, and their kinds.

    Returns the parts of the drawing, and where they end.
    """
    parts, x = [], float(LEFT)
    for name, kind in names:
        shown = shortened(name, 44)
        needed = 34 + len(shown) * CHARACTER
        if x > LEFT and x + needed > WIDTH:
            x, y = float(LEFT), y + 18
        parts += [line((x, y - 4), (x + 24, y - 4), f"line {kind}"), text(x + 30, y, shown)]
        x += needed + 14
    return parts, y


def shortened(name: str, most: int) -> str:
    """Return a name in one line of so many characters."""
    name = one_line(name)
    return name if len(name) <= most else name[: most - 1] + "…"
