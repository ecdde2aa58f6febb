"""Drawings of a cascade: its agreement against its mean time, and how sure its tiers are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Figure
from edgeroberta.report.plots import RIGHT, SERIES, WIDTH, Plot, legend, line, svg, text

Found = Mapping[str, Any]

#: How many times as many changed answers as asked for a point may have to be drawn.
_SHOWN = 6


def front(choice: Found) -> Iterator[Figure]:
    """Draw agreement against mean time: what was measured, its lower bound, and what was asked and chosen.

    ``choice``: a :class:`edgeroberta.cascade.CascadeChoice` as JSON. Nothing where fewer than two points
    are near what was asked.
    """
    # What is far below what was asked would only press the rest together.
    low = 1 - _SHOWN * (1 - choice["agreement"])
    points = [point for point in choice["front"] if point["bound"] >= low]
    if len(points) < 2:
        return
    times = [1000 * point["seconds"] for point in points]
    measured, bounds = ([point[name] for point in points] for name in ("agreement", "bound"))
    plot = Plot(
        LinearAxis.over([0.0, *times]),
        LinearAxis.over([*measured, *bounds, choice["agreement"]], least=0.01, most=1.0),
    )
    asked = choice["agreement"]
    chosen = (1000 * choice["seconds"], choice["measured"])
    parts = [
        *plot.axes("mean time for a text that is expected, ms", "agreement with the last tier", _share(plot)),
        plot.curve([(plot.x.low, asked), (plot.x.high, asked)], "limit dashed"),
        plot.curve(list(zip(times, bounds, strict=True)), "s0 dashed"),
        plot.curve(list(zip(times, measured, strict=True)), "s0"),
        *plot.dots([chosen], "s1", 6),
        text(WIDTH - RIGHT, plot.at(0, asked)[1] - 5, f"asked for: {100 * asked:.4g} %", "end"),
    ]
    yield Figure(
        "Measured agreement (line) and its bound (dashed) against the mean time; the dot is what was chosen.",
        (svg("Agreement with the last tier against the mean time for a text", parts),),
    )


def reliability(choice: Found) -> Iterator[Figure]:
    """Draw, by how sure each tier is, how often it says what the last one does.

    Of a number, whose confidence is no probability, without the diagonal on which both would be equal.
    Nothing where no tier has been asked how sure it is.
    """
    tiers = [tier for tier in choice["tiers"] if tier["reliability"]]
    if not tiers:
        return
    sure = [each["confidence"] for tier in tiers for each in tier["reliability"]]
    shares = [each["agreeing"] for tier in tiers for each in tier["reliability"]]
    probable = min(sure) >= 0
    kinds = [(tier["name"], SERIES[number % len(SERIES)]) for number, tier in enumerate(tiers)]
    named, end = legend(kinds, 16)
    plot = Plot(
        LinearAxis.over([*sure, *([1.0] if probable else [])], most=1.0 if probable else None),
        LinearAxis.over([*shares, 1.0], least=0.05, most=1.0),
        int(end) + 42,
        int(end) + 276,
    )
    low = max(plot.x.low, plot.y.low)
    across = "confidence, mean of a tenth of the texts" if probable else "confidence: how far off, negative"
    parts = [
        *named,
        *plot.axes(across, "share with the last tier's answer", _share(plot)),
        *([plot.curve([(low, low), (1.0, 1.0)], "grey dashed")] if probable else []),
    ]
    for tier, (_, kind) in zip(tiers, kinds, strict=True):
        points = [(each["confidence"], each["agreeing"]) for each in tier["reliability"]]
        parts += [plot.curve(points, kind), *plot.dots(points, kind)]
        if tier["threshold"] is not None and plot.x.low <= tier["threshold"] <= plot.x.high:
            x, _ = plot.at(tier["threshold"], plot.y.low)
            parts.append(line((x, plot.top), (x, plot.bottom), f"line thin {kind}"))
    title = "How often tiers have the last one's answer, by how sure they are"
    yield Figure(f"{title}; upright lines are thresholds.", (svg(title, parts, height=plot.bottom + 50),))


def _share(plot: Plot) -> Callable[[float], str]:
    """Write ticks as percentages, as finely as they are apart."""
    step = plot.y.step if isinstance(plot.y, LinearAxis) else 1.0
    return lambda value: _percent(value, step)


def _percent(value: float, step: float) -> str:
    return f"{100 * value:.{0 if step >= 0.0099 else 1 if step >= 0.00099 else 2}f} %"
