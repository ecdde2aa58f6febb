"""Latency tables of an engine that never was, from a formula."""

from __future__ import annotations

from edgeroberta.latency.table import CallOverhead, LatencyTable
from edgeroberta.roberta.shape import EncoderShape


def table(
    shape: EncoderShape,
    *,
    head: float = 5.0,
    neuron: float = 0.1,
    call: float = 20.0,
    engine: str = "onnxruntime",
    lengths: tuple[int, ...] = (4, 64),
    pads: bool = False,
) -> LatencyTable:
    """Return a table in which a layer takes ``length * (head * heads + neuron * neurons)`` microseconds.

    The last layer takes a tenth of that, and every call ``call`` microseconds beside the layers.
    """
    full = shape.layers[0]
    heads, widths = (1, full.heads), (1, full.intermediate)

    def cells(part: float) -> tuple[tuple[tuple[float, ...], ...], ...]:
        return tuple(
            tuple(tuple(part * 1e-6 * n * (head * h + neuron * w) for n in lengths) for w in widths)
            for h in heads
        )

    whole = tuple(
        1e-6 * (call + n * len(shape.layers) * (head * heads[-1] + neuron * widths[-1])) for n in lengths
    )
    return LatencyTable(
        engine=engine, version="1.0", device="a board", threads=1, shape=shape, activation="gelu",
        heads=heads, widths=widths, lengths=lengths, least=(1e-6 * call,) * len(lengths), middle=cells(1),
        last=cells(0.1), overhead=CallOverhead(0.0, 0.0), pads=pads, noise=(1.0,) * 100, whole_float=whole,
        whole_small=whole,
    )  # fmt: skip
