"""A latency table for people."""

from __future__ import annotations

from edgeroberta.latency.table import LatencyTable
from edgeroberta.layout import columns
from edgeroberta.roberta.shape import LayerShape


def render(table: LatencyTable) -> str:
    """Lay a table out.

    Returns lines joined by newlines: what a layer takes per point of the grid and length, then the whole
    model.
    """
    shape = table.shape
    head = (
        f"{table.engine} {table.version}, {table.device}, threads: {table.threads}\n"
        f"milliseconds for one text of so many tokens; layers of {shape.hidden_size}, "
        f"heads of {shape.head_size}\n"
    )
    rows = [["", *map(str, table.lengths)]]
    rows.append(["each call", *(_ms(table.fixed(length)) for length in table.lengths)])
    for heads in table.heads:
        for width in table.widths:
            layer = LayerShape(heads, width)
            times = [_ms(table.layer(layer, length)) for length in table.lengths]
            rows.append([f"layer, {heads} heads, FFN {width}", *times])
    full = LayerShape(table.heads[-1], table.widths[-1])
    last = [_ms(table.layer(full, length, last=True)) for length in table.lengths]
    rows.append([f"last layer, {full.heads} heads, FFN {full.intermediate}", *last])
    for name, small in (("full size, float", False), ("full size, compressed", True)):
        times = [_ms(table.baseline([length], small=small).p50) for length in table.lengths]
        rows.append([name, *times])
    return head + "\n".join(columns(rows, left=[0]))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3f}"
