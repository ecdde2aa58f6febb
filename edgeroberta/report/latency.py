"""A latency table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from edgeroberta.latency.table import LatencyTable
from edgeroberta.report.table import Table
from edgeroberta.roberta.shape import LayerShape


def text(table: LatencyTable) -> str:
    """Lay out what a layer takes per point of the grid and length, then the whole model, for a terminal."""
    shape = table.shape
    head = (
        f"{table.engine} {table.version}, {table.device}, threads: {table.threads}\n"
        f"milliseconds for one text of so many tokens; layers of {shape.hidden_size}, "
        f"heads of {shape.head_size}\n"
    )
    rows = (
        [name, *(f"{1000 * seconds(length):.3f}" for length in table.lengths)]
        for name, seconds in _rows(table)
    )
    return head + Table.of(["", *map(str, table.lengths)], rows).text()


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
