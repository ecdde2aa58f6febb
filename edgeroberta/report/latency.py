"""A latency table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from edgeroberta.latency.table import LatencyTable
from edgeroberta.report import pages
from edgeroberta.report.axes import LinearAxis
from edgeroberta.report.figure import Cell, Figure, Grid, shade
from edgeroberta.report.plots import Plot, legend, svg
from edgeroberta.report.section import Section
from edgeroberta.report.table import Table
from edgeroberta.roberta.shape import LayerShape


def text(table: LatencyTable) -> str:
    """Lay out what a layer takes per point of the grid and length, then the whole model, for a terminal."""
    return "\n".join((*_head(table), rows(table).text()))


def rows(table: LatencyTable) -> Table:
    """Lay out a line for each point of the grid, and a column for each length."""
    laid = (
        [name, *(f"{1000 * seconds(length):.3f}" for length in table.lengths)]
        for name, seconds in _rows(table)
    )
    return Table.of(["", *map(str, table.lengths)], laid)


def page(table: LatencyTable) -> str:
    """Write it as one HTML file that needs nothing else."""
    title = f"What layers cost in {table.engine}"
    figures = (_curves(table), *_grid(table))
    return pages.page(
        [Section(title, _head(table), None, figures), Section("All that was measured", (), rows(table))]
    )


def _head(table: LatencyTable) -> tuple[str, str]:
    shape = table.shape
    return (
        f"{table.engine} {table.version}, {table.device}, threads: {table.threads}",
        f"milliseconds for one text of so many tokens; layers of {shape.hidden_size}, "
        f"heads of {shape.head_size}",
    )


def _curves(table: LatencyTable) -> Figure:
    """Draw what the whole model takes by the length of a text."""
    kinds = {"baseline, float": "s0", "baseline, compressed": "s1"}
    lines = {
        name: [(float(length), 1000 * seconds(length)) for length in table.lengths]
        for name, seconds in _rows(table)
        if name in kinds
    }
    times = [0.0, *(time for points in lines.values() for _, time in points)]
    named, end = legend(list(kinds.items()), 16)
    top = int(end) + 42
    plot = Plot(LinearAxis.over([0.0, *map(float, table.lengths)]), LinearAxis.over(times), top, top + 230)
    parts = [*named, *plot.axes("tokens of the text", "ms")]
    for name, points in lines.items():
        parts += [plot.curve(points, kinds[name]), *plot.dots(points, kinds[name])]
    title = "What the whole model takes, by the length of a text"
    return Figure(f"{title}.", (svg(title, parts, height=plot.bottom + 50),))


def _grid(table: LatencyTable) -> Iterator[Figure]:
    """Draw what a layer takes, of the longest texts."""
    length = table.lengths[-1]
    times = {
        heads: {width: 1000 * table.layer(LayerShape(heads, width), length) for width in table.widths}
        for heads in table.heads
    }
    most = max(time for each in times.values() for time in each.values())
    if most <= 0:
        return
    grid = Grid(
        f"One layer, milliseconds for {length} tokens",
        "heads",
        tuple(f"FFN {width}" for width in table.widths),
        tuple(
            (f"{heads}", tuple(Cell(f"{time:.3f}", shade=shade(time / most)) for time in each.values()))
            for heads, each in times.items()
        ),
    )
    yield Figure("What a layer costs by its heads and the width of its FFN.", (), (grid,))


def _rows(table: LatencyTable) -> Iterator[tuple[str, Callable[[int], float]]]:
    """Name each line, with the function from a length to seconds."""
    yield "each call", table.fixed
    for layer in (LayerShape(heads, width) for heads in table.heads for width in table.widths):
        yield f"layer, {layer.heads} heads, FFN {layer.intermediate}", partial(table.layer, layer)
    full = LayerShape(table.heads[-1], table.widths[-1])
    last = f"last layer, {full.heads} heads, FFN {full.intermediate}"
    yield last, partial(table.layer, full, last=True)
    yield "baseline, float", lambda length: table.baseline([length]).p50
    yield "baseline, compressed", lambda length: table.baseline([length], small=True).p50
