"""Drawings of a cascade: its agreement against its mean time, and how sure its tiers are.

SVG inside a page: colours that hold on white and on black, and no style of their own, which would be the
page's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from edgeroberta.escaping import plain
from edgeroberta.report.axes import LinearAxis

Found = Mapping[str, Any]

_WIDTH, _HEIGHT = 560, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 40, 52
#: Okabe and Ito's, which colour-blind people can tell apart, on white and on black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73")
_GREY = "#8c959f"
#: How many times as many changed answers as asked for a point may have to be drawn.
_SHOWN = 6


@dataclass(frozen=True)
class _Plot:
    """Where values are on a drawing."""

    x: LinearAxis
    y: LinearAxis

    def at(self, right: float, up: float) -> tuple[float, float]:
        """Return the pixels of a point."""
        return (
            _LEFT + self.x.part(right) * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - self.y.part(up) * (_HEIGHT - _TOP - _BOTTOM),
        )

    def axes(self, across: str, up: str) -> Iterator[str]:
        """Draw ticks, their numbers, and what they are of; shares as percentages upwards."""
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            yield _line((_LEFT, y), (_WIDTH - _RIGHT, y), _GREY, opacity=0.3)
            yield _text(_LEFT - 8, y + 4, _percent(tick, self.y.step), "end")
        for tick in self.x.ticks():
            x, y = self.at(tick, self.y.low)
            yield _line((x, y), (x, y + 5), _GREY)
            yield _text(x, y + 20, self.x.label(tick), "middle")
        yield _line(self.at(self.x.low, self.y.low), self.at(self.x.high, self.y.low), _GREY)
        yield _text(_LEFT + (_WIDTH - _LEFT - _RIGHT) / 2, _HEIGHT - 12, across, "middle")
        yield _text(8, _TOP - 22, up)

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


def front(choice: Found) -> str | None:
    """Draw agreement against mean time: what was measured, its lower bound, and what was asked and chosen.

    ``choice``: a :class:`edgeroberta.cascade.CascadeChoice` as JSON. Returns None where fewer than two points
    are near what was asked.
    """
    # What is far below what was asked would only press the rest together.
    low = 1 - _SHOWN * (1 - choice["agreement"])
    points = [point for point in choice["front"] if point["bound"] >= low]
    if len(points) < 2:
        return None
    times = [1000 * point["seconds"] for point in points]
    measured, bounds = ([point[name] for point in points] for name in ("agreement", "bound"))
    plot = _Plot(
        LinearAxis.over([0.0, *times]),
        LinearAxis.over([*measured, *bounds, choice["agreement"]], least=0.01, most=1.0),
    )
    asked = choice["agreement"]
    chosen = (1000 * choice["seconds"], choice["measured"])
    parts = [
        *plot.axes("mean time for a text that is expected, ms", "agreement with the last tier"),
        plot.curve([(plot.x.low, asked), (plot.x.high, asked)], "#c62828", dashed=True),
        plot.curve(list(zip(times, bounds, strict=True)), _COLOURS[0], dashed=True),
        plot.curve(list(zip(times, measured, strict=True)), _COLOURS[0]),
        *plot.dots([chosen], _COLOURS[1], 6),
        _text(_WIDTH - _RIGHT, plot.at(0, asked)[1] - 5, f"asked for: {100 * asked:.4g} %", "end"),
    ]
    return _svg("Agreement with the last tier against the mean time for a text", parts)


def reliability(choice: Found) -> str | None:
    """Draw, by how sure each tier is, how often it says what the last one does.

    Of a number, whose confidence is no probability, without the diagonal on which both would be equal.
    Returns None where no tier has been asked how sure it is.
    """
    tiers = [tier for tier in choice["tiers"] if tier["reliability"]]
    if not tiers:
        return None
    sure = [each["confidence"] for tier in tiers for each in tier["reliability"]]
    shares = [each["agreeing"] for tier in tiers for each in tier["reliability"]]
    probable = min(sure) >= 0
    plot = _Plot(
        LinearAxis.over([*sure, *([1.0] if probable else [])], most=1.0 if probable else None),
        LinearAxis.over([*shares, 1.0], least=0.05, most=1.0),
    )
    low = max(plot.x.low, plot.y.low)
    across = "confidence, mean of a tenth of the texts" if probable else "confidence: how far off, negative"
    parts = [
        *plot.axes(across, "share with the last tier's answer"),
        *([plot.curve([(low, low), (1.0, 1.0)], _GREY, dashed=True)] if probable else []),
    ]
    for number, tier in enumerate(tiers):
        colour = _COLOURS[number % len(_COLOURS)]
        points = [(each["confidence"], each["agreeing"]) for each in tier["reliability"]]
        parts += [plot.curve(points, colour), *plot.dots(points, colour)]
        if tier["threshold"] is not None and plot.x.low <= tier["threshold"] <= plot.x.high:
            x, _ = plot.at(tier["threshold"], plot.y.low)
            parts.append(_line((x, _TOP), (x, _HEIGHT - _BOTTOM), colour, opacity=0.6))
        parts.append(_text(_LEFT + 10, _HEIGHT - _BOTTOM - 12 - 16 * number, tier["name"], colour=colour))
    return _svg("How often tiers have the last one's answer, by how sure they are", parts)


def _svg(title: str, parts: Sequence[str]) -> str:
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" role="img">',
            f"<title>{escape(title)}</title>",
            *parts,
            "</svg>",
        ]
    )


def _line(start: tuple[float, float], end: tuple[float, float], colour: str, *, opacity: float = 1.0) -> str:
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
        f'opacity="{opacity:g}"/>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", *, colour: str | None = None) -> str:
    style = "" if colour is None else f' style="fill: {colour}"'
    shown = escape(plain(text), quote=False)
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{shown}</text>'


def _percent(value: float, step: float) -> str:
    return f"{100 * value:.{0 if step >= 0.0099 else 1 if step >= 0.00099 else 2}f} %"
