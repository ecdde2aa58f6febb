"""Drawings of lines and dots on two axes, for the pages of reports.

SVG inside a page: colours that hold on white and on black, and no style of their own, which would be the
page's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edgeroberta.escaping import plain
from edgeroberta.report.axes import LinearAxis, LogarithmicAxis

WIDTH, HEIGHT = 560, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 52
#: Okabe and Ito's, which colour-blind people can tell apart, on white and on black.
COLOURS = ("#0072b2", "#d55e00", "#009e73")
GREY = "#8c959f"


@dataclass(frozen=True)
class Plot:
    """Where values are on a drawing."""

    x: LinearAxis
    y: LinearAxis | LogarithmicAxis

    def at(self, right: float, up: float) -> tuple[float, float]:
        """Return the pixels of a point."""
        return (
            LEFT + self.x.part(right) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - self.y.part(up) * (HEIGHT - TOP - BOTTOM),
        )

    def axes(self, across: str, up: str, label: Callable[[float], str] | None = None) -> Iterator[str]:
        """Draw ticks, their numbers, and what they are of. ``label``: writes the numbers upwards."""
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            yield line((LEFT, y), (WIDTH - RIGHT, y), GREY, opacity=0.3)
            yield text(LEFT - 8, y + 4, (label or self.y.label)(tick), "end")
        for tick in self.x.ticks():
            x, y = self.at(tick, self.y.low)
            yield line((x, y), (x, y + 5), GREY)
            yield text(x, y + 20, self.x.label(tick), "middle")
        yield line(self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.low), GREY)
        yield text(LEFT + (WIDTH - LEFT - RIGHT) / 2, HEIGHT - 12, across, "middle")
        yield text(8, TOP - 22, up)

    def curve(self, points: Sequence[tuple[float, float]], colour: str, *, dashed: bool = False) -> str:
        """Join points by a line."""
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        return f'<polyline points="{corners}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'

    def dots(self, points: Sequence[tuple[float, float]], colour: str, radius: float = 4) -> Iterator[str]:
        """Mark points."""
        for point in points:
            x, y = self.at(*point)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}"/>'


def svg(title: str, parts: Sequence[str]) -> str:
    """Put the parts of a drawing together. ``title``: what a screen reader says of it."""
    return "\n".join(
        [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">',
            f"<title>{escape(title)}</title>",
            *parts,
            "</svg>",
        ]
    )


def line(start: tuple[float, float], end: tuple[float, float], colour: str, *, opacity: float = 1.0) -> str:
    """Draw a straight line between two places, in pixels."""
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'opacity="{opacity:g}"/>'
    )


def text(x: float, y: float, words: str, anchor: str = "start", *, colour: str | None = None) -> str:
    """Write words at a place, in pixels."""
    style = "" if colour is None else f' style="fill: {colour}"'
    shown = escape(plain(words), quote=False)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{shown}</text>'
