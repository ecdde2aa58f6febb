"""The Pareto front of accuracy against latency, which of some models are worth having: table and drawing.

The drawing is an SVG file of its own, written without any other package.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

from edgeroberta.escaping import plain
from edgeroberta.figures import ABSENT, CORRELATIONS, megabytes
from edgeroberta.report.axes import LinearAxis, LogarithmicAxis, digits
from edgeroberta.report.figure import Figure
from edgeroberta.report.plots import svg
from edgeroberta.report.table import Table

SCHEMA_VERSION = 2
KIND = "edgeroberta-pareto"

# Size of the drawing, and what is left around the plot for titles and numbers, in pixels.
_WIDTH, _HEIGHT = 720, 450
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 76, 56
# A label's height, and a guess of the width of a character at its font size.
_LINE, _CHARACTER = 14, 7.0
# Colours of series: Okabe and Ito's, which colour-blind people can tell apart, on white and on black.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_STYLE = """
    text { font: 12px sans-serif; fill: #24292f }
    .title { font-size: 15px; font-weight: bold }
    .axis { stroke: #57606a; fill: none }
    .grid { stroke: #d0d7de }
    .leader { stroke: #57606a; stroke-width: 0.7; fill: none }
    .dashed { stroke: #57606a; stroke-dasharray: 5 4; fill: none }
    .paper { fill: #ffffff }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .axis, .dashed, .leader { stroke: #9198a1 }
      .grid { stroke: #30363d }
      .paper { fill: #0d1117 }
    }
"""


@dataclass(frozen=True)
class ParetoPoint:
    """A model whose metric was measured."""

    name: str
    latency_ms: float  # of one call with one text; less is better
    metric: float  # more is better
    bytes: int | None = None  # size on disk
    series: str = ""  # whose it is, or how it was measured; series differ in colour
    predicted: bool = False  # the latency was predicted, not measured


def pareto_front(points: Sequence[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Return the points than which none is both as fast and as right, and better in one; fastest first."""
    kept: list[ParetoPoint] = []
    for point in _fastest_first(points):
        if not kept or point.metric > kept[-1].metric:
            kept.append(point)
    return tuple(kept)


def pareto_json(points: Sequence[ParetoPoint], *, metric: str) -> dict[str, Any]:
    """Return points for machines, each with whether it is on the Pareto front."""
    best = pareto_front(points)
    rows = [{**asdict(point), "pareto": point in best} for point in points]
    return {"schema_version": SCHEMA_VERSION, "kind": KIND, "metric": metric, "points": rows}


def pareto_table(points: Sequence[ParetoPoint], *, metric: str = "accuracy") -> Table:
    """Return points as a table, the fastest first; those on the Pareto front have a star."""
    best = pareto_front(points)
    rows = [
        (
            "*" if point in best else "",
            f"{point.name} ({point.series})" if point.series else point.name,
            f"{point.latency_ms:.2f} ms{' predicted' if point.predicted else ''}",
            _value(point.metric, metric),
            ABSENT if point.bytes is None else f"{megabytes(point.bytes)} MB",
        )
        for point in _fastest_first(points)
    ]
    return Table.of(("", "", "p50", metric, "size"), rows, words=2)


def pareto_svg(
    points: Sequence[ParetoPoint],
    *,
    title: str,
    metric: str = "accuracy",
    floor: float | None = None,
    latency: str = "latency, p50",
    logarithmic: bool = False,
) -> str:
    """Draw points: latency to the right, the metric up, and the Pareto front as a broken line.

    There is at least one point; those of a predicted latency are hollow, those off the front pale. The SVG
    file follows the reader's light or dark colours.

    Args:
        points: What is drawn.
        title: Of the drawing, and what a screen reader says of it.
        metric: What is more the better.
        floor: The least metric that was asked for, a line.
        latency: What the latency is of, the title of the axis.
        logarithmic: Equal distances to the right are equal factors; latencies are above 0 then.
    """
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
            f'height="{_HEIGHT}" role="img" aria-label="{escape(plain(title))}">',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{_HEIGHT}"/>',
            _text(_LEFT, 24, title, kind="title"),
            *_drawn(points, metric, floor, latency, logarithmic=logarithmic),
            "</svg>\n",
        ]
    )


def pareto_figure(
    points: Sequence[ParetoPoint], *, metric: str = "accuracy", floor: float | None = None, latency: str
) -> Figure:
    """Draw points for a page, whose style it takes; see :func:`pareto_svg`."""
    drawing = svg(
        f"{metric} against {latency}",
        _drawn(points, metric, floor, latency),
        width=_WIDTH,
        height=_HEIGHT,
        kind="wide",
    )
    hollow = " Hollow ones are predicted, not measured." if any(each.predicted for each in points) else ""
    caption = (
        f"The higher and the further left, the better: {metric} against {latency}. The broken line joins "
        f"what nothing else beats in both.{hollow}"
    )
    return Figure(caption, (drawing,), table=pareto_table(points, metric=metric))


def _drawn(
    points: Sequence[ParetoPoint],
    metric: str,
    floor: float | None,
    latency: str,
    *,
    logarithmic: bool = False,
) -> list[str]:
    values = [point.metric for point in points] + ([] if floor is None else [floor])
    times = [point.latency_ms for point in points]
    plot = _Plot(
        LogarithmicAxis.over(times) if logarithmic else LinearAxis.over([0.0, *times]),
        LinearAxis.over(values, least=0.01, below=0.5, most=1.0),
    )
    series = list(dict.fromkeys(point.series for point in points))
    return [
        *_legend(series),
        *plot.axes(latency, metric),
        *plot.floor(floor, metric),
        *plot.pareto(pareto_front(points)),
        *plot.points(points, series),
    ]


def _fastest_first(points: Sequence[ParetoPoint]) -> list[ParetoPoint]:
    return sorted(points, key=lambda each: (each.latency_ms, -each.metric))


@dataclass(frozen=True)
class _Plot:
    """Where things are on the drawing, by its axes."""

    x: LinearAxis | LogarithmicAxis
    y: LinearAxis

    def at(self, latency_ms: float, metric: float) -> tuple[float, float]:
        right = _LEFT + self.x.part(latency_ms) * (_WIDTH - _LEFT - _RIGHT)
        return right, _HEIGHT - _BOTTOM - self.y.part(metric) * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, latency: str, metric: str) -> Iterator[str]:
        end, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        for tick in self.y.ticks():
            _, y = self.at(self.x.low, tick)
            yield _path("grid", f"M{_LEFT} {y:.1f}H{end}")
            yield _text(_LEFT - 8, y + 4, _value(tick, metric, self.y.step), anchor="end")
        for tick in self.x.ticks():
            x, _ = self.at(tick, 0)
            yield _path("axis", f"M{x:.1f} {bottom}v5")
            yield _text(x, bottom + 20, self.x.label(tick), anchor="middle")
        yield _path("axis", f"M{_LEFT} {_TOP}V{bottom}H{end}")
        yield _text((_LEFT + end) / 2, _HEIGHT - 14, f"{latency} in ms", anchor="middle")
        yield _text(_LEFT - 40, _TOP - 12, metric)

    def floor(self, value: float | None, metric: str) -> Iterator[str]:
        if value is not None:
            _, y = self.at(self.x.low, value)
            yield _path("dashed", f"M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}")
            yield _text(_WIDTH - _RIGHT, y - 5, f"asked for: {_value(value, metric)}", anchor="end")

    def pareto(self, points: Sequence[ParetoPoint]) -> Iterator[str]:
        if len(points) > 1:
            corners = (self.at(point.latency_ms, point.metric) for point in points)
            yield _path("dashed", "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners))

    def points(self, points: Sequence[ParetoPoint], series: Sequence[str]) -> Iterator[str]:
        """Draw points, paler off the front and hollow where predicted; names where they hide no other."""
        best = pareto_front(points)
        taken = [(*self.at(point.latency_ms, point.metric), 10.0) for point in points]
        for point in sorted(points, key=lambda each: (-each.metric, each.latency_ms)):
            x, y = self.at(point.latency_ms, point.metric)
            colour = _colour(series.index(point.series))
            fill = "none" if point.predicted else colour
            pale = "" if point in best else ' opacity="0.5"'
            yield (
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{fill}" stroke="{colour}" '
                f'stroke-width="2"{pale}/>'
            )
            name = f"{point.name}, predicted" if point.predicted else point.name
            width = len(name) * _CHARACTER
            left, down = _free(x, y, width, taken)
            taken.append((left, down, width))
            if down != y:  # else nobody could tell whose name it is
                yield _path("leader", f"M{x:.1f} {y:.1f}L{left if left > x else left + width:.1f} {down:.1f}")
            yield _text(left, down + 4, name)


def _free(
    x: float, y: float, width: float, taken: Sequence[tuple[float, float, float]]
) -> tuple[float, float]:
    """Find the place nearest to a point for its name; right or left of it, then higher or lower."""
    for shift in (0, -1, 1, -2, 2, -3, 3, -4, 4):
        for left in (x + 10, x - 10 - width):
            down = y + shift * _LINE
            inside = _LEFT <= left <= _WIDTH - width and _TOP - _LINE <= down <= _HEIGHT - _BOTTOM
            if inside and not any(
                abs(down - other) < _LINE and left < start + size and start < left + width
                for start, other, size in taken
                if (start, other) != (x, y)
            ):
                return left, down
    return min(x + 10, _WIDTH - width), y


def _legend(series: Sequence[str]) -> Iterator[str]:
    x = float(_LEFT)
    for index, name in enumerate(series if len(series) > 1 else ()):
        yield f'<circle cx="{x + 5:.1f}" cy="40" r="5" fill="{_colour(index)}"/>'
        yield _text(x + 15, 44, name or "here")
        x += 35 + len(name or "here") * _CHARACTER


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]


def _path(kind: str, places: str) -> str:
    return f'<path class="{kind}" d="{places}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str | None = None) -> str:
    named = f' class="{kind}"' if kind else ""
    shown = escape(plain(text), quote=False)
    return f'<text{named} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{shown}</text>'


def _value(value: float, metric: str, step: float = 0.001) -> str:
    """Write a share as a percentage, as finely as the step asks for; a correlation stays a number."""
    if metric in CORRELATIONS:
        return f"{value:.{max(digits(step), 2)}f}"
    return f"{value * 100:.{digits(step * 100)}f} %"
